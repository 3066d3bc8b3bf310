package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/server"
)

// tables are the workshop's, by name or oss:// address, or local folders.
type tables interface {
	DescribeTable(table ...string) (api.TableDetail, error)
	History(lakekit.HistoryOptions) (api.History, error)
	Files(lakekit.FilesOptions) (api.Files, error)
	Optimize(lakekit.OptimizeOptions) (api.Compaction, error)
	Vacuum(lakekit.VacuumOptions) (api.Vacuum, error)
	Restore(lakekit.RestoreOptions) (api.Restoration, error)
}

// tablesOf tells a folder by the slash in it.
func tablesOf(cmd *cobra.Command, table string) (tables, error) {
	if table == "." || strings.Contains(table, "/") && !strings.Contains(table, "://") {
		return folders{cmd.Context()}, nil
	}
	lab, err := lakekit.ConnectContext(cmd.Context())
	if err != nil {
		return nil, err
	}
	return lab, nil
}

// folders are tables on the local disk, which need no workshop.
type folders struct{ ctx context.Context }

func (f folders) DescribeTable(path ...string) (api.TableDetail, error) {
	table, err := openFolder(f.ctx, strings.Join(path, ""))
	if err != nil {
		return api.TableDetail{}, err
	}
	snapshot, err := table.Snapshot(f.ctx)
	if err != nil {
		return api.TableDetail{}, err
	}
	return api.TableDetail(snapshot.Detail()), nil
}

func (f folders) History(o lakekit.HistoryOptions) (api.History, error) {
	table, err := openFolder(f.ctx, o.URI)
	if err != nil {
		return nil, err
	}
	entries, err := table.History(f.ctx, o.Limit)
	return server.History(entries), err
}

func (f folders) Files(o lakekit.FilesOptions) (api.Files, error) {
	table, err := openFolder(f.ctx, o.URI)
	if err != nil {
		return nil, err
	}
	snapshot, err := server.SnapshotOf(f.ctx, table, o.Version)
	if err != nil {
		return nil, err
	}
	return server.Files(snapshot.FileInfos()), nil
}

func (f folders) Optimize(o lakekit.OptimizeOptions) (api.Compaction, error) {
	return maintained(f.ctx, o.URI, o, server.Optimize)
}

func (f folders) Vacuum(o lakekit.VacuumOptions) (api.Vacuum, error) {
	return maintained(f.ctx, o.URI, o, server.Vacuum)
}

func (f folders) Restore(o lakekit.RestoreOptions) (api.Restoration, error) {
	return maintained(f.ctx, o.URI, o, server.Restore)
}

func maintained[Request, Result any](ctx context.Context, path string, request Request, run func(context.Context, *delta.Table, Request) (Result, error)) (result Result, err error) {
	table, err := openFolder(ctx, path)
	if err != nil {
		return result, err
	}
	return run(ctx, table, request)
}

const tableArgument = " [NAME, oss://... or folder]"

func tableCommand() *cobra.Command {
	return group("table", "Create, look at and maintain Delta tables", "  lakekit table create\n  lakekit table history\n  lakekit table vacuum --dry-run",
		tableCreate(),
		tableShow("describe", "Show a table's details", func(t tables, table string) (any, error) { return t.DescribeTable(given(table)...) }),
		tableShow("history", "List a table's commits, newest first", func(t tables, table string) (any, error) { return t.History(lakekit.HistoryOptions{URI: table}) }),
		tableShow("files", "List the data files of a table's newest version", func(t tables, table string) (any, error) { return t.Files(lakekit.FilesOptions{URI: table}) }),
		tableOptimize(), tableVacuum(), tableRestore(),
	)
}

func tableCreate() *cobra.Command {
	var options lakekit.TableOptions
	var properties []string
	c := &cobra.Command{
		Use: "create [NAME or oss://...]", Short: "Create a Delta table of taxi records", Args: arguments(0, 1, "one table"),
		Example: "  lakekit table create\n  lakekit table create trips --property delta.autoOptimize.autoCompact=true",
		PreRunE: func(*cobra.Command, []string) (err error) {
			options.Properties, err = pairs("--property", properties)
			return err
		},
		RunE: shows(func(lab *lakekit.Workshop, args []string) (any, error) {
			options.URI = strings.Join(args, "")
			return lab.CreateTable(options)
		}),
	}
	c.Flags().StringArrayVar(&properties, "property", nil, "table property NAME=VALUE (default: optimized writes and auto compaction on)")
	return c
}

// tableDoes is a command on one table, whose answer it shows.
func tableDoes(c *cobra.Command, ask func(t tables, table string) (any, error)) *cobra.Command {
	c.Use += tableArgument
	c.Args = arguments(0, 1, "one table")
	c.RunE = does(func(cmd *cobra.Command, args []string) error {
		table := strings.Join(args, "")
		t, err := tablesOf(cmd, table)
		if err != nil {
			return err
		}
		value, err := ask(t, table)
		if err != nil {
			return err
		}
		return show(cmd, value)
	})
	return withJSON(c)
}

func tableShow(name, short string, ask func(t tables, table string) (any, error)) *cobra.Command {
	return tableDoes(&cobra.Command{Use: name, Short: short, Example: "  lakekit table " + name + " taxi_record"}, ask)
}

func tableOptimize() *cobra.Command {
	var options lakekit.OptimizeOptions
	c := &cobra.Command{
		Use: "optimize", Short: "Merge a table's small files, or order its rows",
		Example: "  lakekit table optimize\n  lakekit table optimize trips --where \"day >= '2009-06-15'\" --zorder pickup_longitude,pickup_latitude --dry-run",
	}
	flags := c.Flags()
	flags.StringVar(&options.Where, "where", "", "conditions on partition columns, joined by AND")
	flags.StringSliceVar(&options.ZOrderBy, "zorder", nil, "columns to order the rows by, along a Z curve (all files are rewritten)")
	flags.Int64Var(&options.TargetSize, "target-size", 0, "bytes of a file (default: the table's delta.targetFileSize)")
	flags.BoolVar(&options.DryRun, "dry-run", false, "only say what would be rewritten")
	c.PreRunE = func(*cobra.Command, []string) error {
		if options.TargetSize < 0 {
			return usage("--target-size must not be negative")
		}
		return nil
	}
	return tableDoes(c, func(t tables, table string) (any, error) {
		options.URI = table
		return t.Optimize(options)
	})
}

func tableVacuum() *cobra.Command {
	var options lakekit.VacuumOptions
	var retain float64
	var conf []string
	c := &cobra.Command{
		Use: "vacuum", Short: "Delete files that a table has not needed for its retention",
		Example: "  lakekit table vacuum --dry-run\n  lakekit table vacuum trips --retain 240\n  lakekit table vacuum trips --retain 0 --conf " + delta.RetentionDurationCheckKey + "=false",
	}
	flags := c.Flags()
	flags.Float64Var(&retain, "retain", 0, "hours that unneeded files are kept (default: the table's delta.deletedFileRetentionDuration)")
	flags.BoolVar(&options.DryRun, "dry-run", false, "only list the files and their size")
	flags.StringArrayVar(&conf, "conf", nil, delta.RetentionDurationCheckKey+"=false allows a shorter retention; versions in use can then lose files")
	c.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if cmd.Flags().Changed("retain") {
			options.RetentionHours = &retain
		}
		options.Conf, err = pairs("--conf", conf)
		return err
	}
	return tableDoes(c, func(t tables, table string) (any, error) {
		options.URI = table
		return t.Vacuum(options)
	})
}

func tableRestore() *cobra.Command {
	var options lakekit.RestoreOptions
	var version string
	c := &cobra.Command{
		Use: "restore", Short: "Make a table what it was at a version or a time",
		Example: "  lakekit table restore --version 3\n  lakekit table restore trips --timestamp \"2026-01-02 15:04:05\"",
	}
	c.Flags().StringVar(&version, "version", "", "version to go back to, as `lakekit table history` lists them")
	c.Flags().StringVar(&options.Timestamp, "timestamp", "", "time to go back to: 2026-01-02 15:04:05 in UTC, or as in RFC 3339")
	c.PreRunE = func(*cobra.Command, []string) error {
		if (version == "") == (options.Timestamp == "") {
			return usage("name --version or --timestamp, one of the two")
		}
		if version != "" {
			n, err := strconv.ParseInt(version, 10, 64)
			if err != nil || n < 0 {
				return usage("--version %q: want a number from 0 on", version)
			}
			options.Version = &n
		}
		return nil
	}
	return tableDoes(c, func(t tables, table string) (any, error) {
		options.URI = table
		return t.Restore(options)
	})
}
