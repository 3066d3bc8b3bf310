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
	var options lakekit.DeadLettersOptions
	c := &cobra.Command{
		Use: "show [NAME or oss://... of the table]", Short: "List a table's dead letters, the newest first, with the reasons", Args: arguments(0, 1, "one table"),
		Example: "  lakekit dead-letters show\n  lakekit dead-letters show trips --limit 100 --json",
		PreRunE: func(*cobra.Command, []string) error {
			if options.Limit < 1 {
				return usage("--limit %d: want at least 1", options.Limit)
			}
			return nil
		},
		RunE: shows(func(lab *lakekit.Workshop, args []string) (any, error) {
			options.Table = strings.Join(args, "")
			return lab.DeadLetters(options)
		}),
	}
	c.Flags().IntVar(&options.Limit, "limit", 20, "most letters to list")
	return withJSON(c)
}

func deadLettersReplay() *cobra.Command {
	var options lakekit.ReplayOptions
	c := &cobra.Command{
		Use: "replay [NAME or oss://... of the table]", Short: "Move the dead letters that fit now into the table, each once", Args: arguments(0, 1, "one table"),
		Long:    "After the table or its schema was put right, decodes the dead letters once more. Those that fit now move into the table, the others stay. It may be called again at any time, also after it was interrupted: nothing is moved twice.",
		Example: "  lakekit dead-letters replay\n  lakekit dead-letters replay trips",
		RunE: shows(func(lab *lakekit.Workshop, args []string) (any, error) {
			options.Table = strings.Join(args, "")
			return lab.ReplayDeadLetters(options)
		}),
	}
	c.Flags().BoolVar(&options.IgnoreUnknownFields, "ignore-unknown-fields", false, "move also the records that a stream refused only because it was started with --ignore-unknown-fields=false")
	return withJSON(c)
}
