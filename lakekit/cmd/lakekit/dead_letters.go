package main

import (
	"strings"

	"github.com/spf13/cobra"

	"taxilake/lakekit"
)

func deadLettersCommand() *cobra.Command {
	return group("dead-letters", "Look at the records that did not fit a table, and replay them", "  lakekit dead-letters show\n  lakekit dead-letters replay",
		deadLettersShow(), deadLettersReplay())
}

func deadLettersShow() *cobra.Command {
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use: "show [NAME or oss://... of the table]", Short: "List a table's dead letters, the newest first, with the reasons", Args: arguments(0, 1, "one table"),
		Example: "  lakekit dead-letters show\n  lakekit dead-letters show trips --limit 100 --json",
		PreRunE: func(*cobra.Command, []string) error {
			if limit < 1 {
				return usage("--limit %d: want at least 1", limit)
			}
			return nil
		},
		RunE: inWorkshop(func(cmd *cobra.Command, lab *lakekit.Workshop, args []string) error {
			letters, err := lab.DeadLetters(strings.Join(args, ""), limit)
			if err != nil {
				return err
			}
			return print(cmd, letters, asJSON)
		}),
	}
	c.Flags().IntVar(&limit, "limit", 20, "most letters to list")
	jsonFlag(c, &asJSON)
	return c
}

func deadLettersReplay() *cobra.Command {
	var asJSON bool
	var options lakekit.ReplayOptions
	c := &cobra.Command{
		Use: "replay [NAME or oss://... of the table]", Short: "Move the dead letters that fit now into the table, each once", Args: arguments(0, 1, "one table"),
		Long:    "After the table or its schema was put right, decodes the dead letters once more. Those that fit now move into the table, the others stay. It may be called again at any time, also after it was interrupted: nothing is moved twice.",
		Example: "  lakekit dead-letters replay\n  lakekit dead-letters replay trips",
		RunE: inWorkshop(func(cmd *cobra.Command, lab *lakekit.Workshop, args []string) error {
			options.Table = strings.Join(args, "")
			replay, err := lab.ReplayDeadLettersWith(options)
			if err != nil {
				return err
			}
			return print(cmd, replay, asJSON)
		}),
	}
	c.Flags().BoolVar(&options.IgnoreUnknownFields, "ignore-unknown-fields", false, "move also the records that a stream refused only because it was started with --ignore-unknown-fields=false")
	jsonFlag(c, &asJSON)
	return c
}
