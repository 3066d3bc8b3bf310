// Command lakekit is the workshop on the command line: it runs the services,
// looks after them, and does what the notebooks do, by the same calls.
//
// It ends with status 0 when it did what was asked, 1 when that failed, and 2
// when it was called in a way it does not understand.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"taxilake/lakekit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

const (
	statusFailed = 1
	statusUsage  = 2
)

// run executes one command line and returns its exit status.
func run(ctx context.Context, arguments []string) int {
	root := newRoot()
	root.SetArgs(arguments)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if failed, ok := errors.AsType[failure](err); ok {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			failed.error = errors.New("interrupted before it was done")
		}
		if failed.error != nil {
			fmt.Fprintln(root.ErrOrStderr(), "lakekit:", failed.error)
		}
		return statusFailed
	}
	fmt.Fprintf(root.ErrOrStderr(), "lakekit: %v\nThe option --help shows how a command is used, with an example.\n", err)
	return statusUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "lakekit",
		Short:         "A workshop on streaming into a data lake, on your own machine",
		Example:       "  lakekit up\n  lakekit topic create\n  lakekit traffic --records 100000\n  lakekit table create\n  lakekit stream start\n  lakekit sql \"select count(*) from taxi_record\"\n  lakekit verify --wait",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(serviceCommands()...)
	root.AddCommand(topicCommand(), trafficCommand(), tableCommand(), streamCommand(), deadLettersCommand(), datasetCommand(),
		listCommand(), sqlCommand(), verifyCommand(), drillCommand(), classCommand(), versionCommand())
	root.SetHelpCommand(helpCommand())
	strict(root)
	return root
}

// failure marks an error of a command that was understood. One without an error
// inside was already told.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

var errTold = failure{}

// Error makes errTold printable; failure's own error does the rest.
func (f failure) Error() string {
	if f.error == nil {
		return "failed"
	}
	return f.error.Error()
}

// usage is a mistake in the command line that cobra cannot see.
func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

type usageError string

func (e usageError) Error() string { return string(e) }

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument such as %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// does adapts a command's work: its errors are failures, except usage errors.
func does(work func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := work(cmd, args)
		if err == nil {
			return nil
		}
		if _, ok := errors.AsType[usageError](err); ok {
			return err
		}
		if failed, ok := errors.AsType[failure](err); ok {
			return failed
		}
		return failure{err}
	}
}

// inWorkshop adapts work that needs the workshop server.
func inWorkshop(work func(cmd *cobra.Command, lab *lakekit.Workshop, args []string) error) func(*cobra.Command, []string) error {
	return does(func(cmd *cobra.Command, args []string) error {
		lab, err := lakekit.ConnectContext(cmd.Context())
		if err != nil {
			return err
		}
		return work(cmd, lab, args)
	})
}

// shows adapts a question to the workshop server, whose answer is shown.
func shows(ask func(lab *lakekit.Workshop, args []string) (any, error)) func(*cobra.Command, []string) error {
	return inWorkshop(func(cmd *cobra.Command, lab *lakekit.Workshop, args []string) error {
		value, err := ask(lab, args)
		if err != nil {
			return err
		}
		return show(cmd, value)
	})
}

// show prints a value as the notebooks' Show does, or with the flag --json for
// programs.
func show(cmd *cobra.Command, value any) error {
	if !asJSON(cmd) {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(lakekit.Text(value), "\n"))
		return err
	}
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// withJSON gives a command the flag --json.
func withJSON(c *cobra.Command) *cobra.Command {
	c.Flags().Bool("json", false, "print JSON")
	return c
}

func asJSON(cmd *cobra.Command) bool {
	flag := cmd.Flags().Lookup("json")
	return flag != nil && flag.Value.String() == "true"
}

// group is a command that only holds others.
func group(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%s has no command %q", cmd.CommandPath(), args[0])
			}
			return usage("%s needs one of its commands", cmd.CommandPath())
		}}
	g.AddCommand(commands...)
	return g
}
