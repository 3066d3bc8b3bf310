package main

import (
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"taxilake/lakekit/drill"
)

func drillCommand() *cobra.Command {
	options := drill.Options{}
	c := &cobra.Command{
		Use: "drill", Short: "Break a workshop on purpose, and prove that no record is lost or there twice",
		Long:    "Each drill runs on services and data of its own, which are deleted when it ends;\nyour workshop is not touched. The last line is the verdict.",
		Example: "  lakekit drill\n  lakekit drill broker\n  lakekit drill kill --records 100000 --rate 20000\n  lakekit drill all",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("there is no drill %q; `lakekit drill` lists them", args[0])
			}
			for _, d := range drill.All {
				fmt.Fprintf(cmd.OutOrStdout(), "lakekit drill %-11s %s\n", d.Name, d.Short)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "lakekit drill %-11s %s\n", "all", "all of these, one after the other")
			return nil
		},
	}
	c.PersistentFlags().Int64Var(&options.Records, "records", 20_000, "records to produce, about")
	c.PersistentFlags().Float64Var(&options.Rate, "rate", 3_000, "records a second")
	for _, d := range drill.All {
		c.AddCommand(drillRun(d.Name, d.Short, &options, d))
	}
	c.AddCommand(drillRun("all", "Run all drills, one after the other", &options, drill.All...))
	return c
}

func drillRun(name, short string, options *drill.Options, drills ...drill.Drill) *cobra.Command {
	const fewest = 1000 // a fault must find the stream at work
	return &cobra.Command{
		Use: name, Short: short, Example: "  lakekit drill " + name, Args: noArguments,
		PreRunE: func(*cobra.Command, []string) error {
			if options.Records < fewest || !(options.Rate > 0) || math.IsInf(options.Rate, 0) {
				return usage("--records must be at least %d, --rate positive", fewest)
			}
			return nil
		},
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			for i, d := range drills {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				if err := d.Run(cmd.Context(), *options, cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}
