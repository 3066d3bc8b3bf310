package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// strict makes all commands refuse what would be read as something else than
// was meant: a text that is empty, as that of a shell's variable that is not set,
// which would stand for the default; an option that is given twice, of which the
// last would hold; a number that is none.
func strict(c *cobra.Command) {
	if allowed := c.Args; allowed != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if err := written(arg); err != nil {
					return usage("%s: argument %q: %v", cmd.CommandPath(), arg, err)
				}
			}
			return allowed(cmd, args)
		}
	}
	c.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		flag.Value, flag.DefValue = &strictValue{Value: flag.Value}, strings.TrimSuffix(flag.DefValue, "[]")
	})
	for _, child := range c.Commands() {
		strict(child)
	}
}

// written refuses texts that say nothing.
func written(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return usage("it is empty; if it is a variable of the shell, that is not set")
	case !utf8.ValidString(text):
		return usage("it is not UTF-8")
	}
	return nil
}

// strictValue is an option's value, which can be set once.
type strictValue struct {
	pflag.Value
	given bool
}

func (v *strictValue) Set(text string) error {
	if err := written(text); err != nil {
		return err
	}
	if _, list := v.Value.(pflag.SliceValue); v.given && !list {
		return usage("it is given twice")
	}
	v.given = true
	kind := v.Type()
	err := v.Value.Set(text)
	if n, notNumber := strconv.ParseFloat(text, 64); kind == "float64" && notNumber == nil && (math.IsNaN(n) || math.IsInf(n, 0)) {
		err = strconv.ErrSyntax
	}
	if errors.Is(err, strconv.ErrRange) {
		return usage("it is too large, or too small")
	}
	if want := map[string]string{
		"int": "a whole number", "int64": "a whole number", "uint64": "a whole number from 0 on", "float64": "a number", "bool": "true or false",
	}[kind]; err != nil && want != "" {
		return usage("want %s", want)
	}
	return err
}

// arguments are between least and most many, by what they are.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage("%s needs %s", cmd.CommandPath(), what)
		case len(args) > most:
			return usage("%s takes %s, and %q is one too many; a text with spaces goes in quotes", cmd.CommandPath(), what, args[most])
		}
		return nil
	}
}

// helpCommand is cobra's, but for a command that is not there, which is a
// mistake, not a success.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Show how a command is used", Args: cobra.ArbitraryArgs,
		Example: "  lakekit help stream start",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("there is no command %q; `lakekit --help` lists them", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
