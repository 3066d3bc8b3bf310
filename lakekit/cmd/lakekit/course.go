package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"taxilake/lakekit"
)

func topicCommand() *cobra.Command {
	return group("topic", "Create, list, describe and browse Kafka topics", "  lakekit topic create\n  lakekit topic browse --offset 0",
		topicCreate(), topicList(), topicDescribe(), topicBrowse())
}

func topicCreate() *cobra.Command {
	var options lakekit.TopicOptions
	var configs []string
	c := &cobra.Command{
		Use: "create [NAME]", Short: "Create a topic; without a name, the course's", Args: arguments(0, 1, "one name"),
		Example: "  lakekit topic create\n  lakekit topic create experiments --partitions 6 --config retention.ms=3600000",
		PreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cmd.Flags().Changed("partitions") && options.Partitions < 1 {
				return usage("--partitions %d: a topic has at least one", options.Partitions)
			}
			options.Configs, err = pairs("--config", configs)
			return err
		},
		RunE: shows(func(lab *lakekit.Workshop, args []string) (any, error) {
			options.Name = strings.Join(args, "")
			return lab.CreateTopic(options)
		}),
	}
	c.Flags().IntVar(&options.Partitions, "partitions", 0, "number of partitions (default: 3, or those the topic has)")
	c.Flags().StringArrayVar(&configs, "config", nil, "topic configuration NAME=VALUE, in Kafka's terms (repeatable)")
	return c
}

// pairs reads repeated NAME=VALUE options, each name once.
func pairs(option string, given []string) (map[string]string, error) {
	var found map[string]string
	for _, pair := range given {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usage("%s %q: want NAME=VALUE", option, pair)
		}
		if _, twice := found[name]; twice {
			return nil, usage("%s %q: %s is given twice", option, pair, name)
		}
		if found == nil {
			found = map[string]string{}
		}
		found[name] = value
	}
	return found, nil
}

func topicList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the topics", Example: "  lakekit topic list", Args: noArguments,
		RunE: shows(func(lab *lakekit.Workshop, _ []string) (any, error) {
			return lab.Topics()
		}),
	}
}

func topicDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe [NAME]", Short: "Show a topic's partitions and offsets", Example: "  lakekit topic describe nyc_taxi_data", Args: arguments(0, 1, "one name"),
		RunE: shows(func(lab *lakekit.Workshop, args []string) (any, error) {
			return lab.Topic(args...)
		}),
	}
}

func topicBrowse() *cobra.Command {
	var options lakekit.BrowseOptions
	var partition int
	c := &cobra.Command{
		Use: "browse [NAME]", Short: "Read messages of a topic without moving anybody's place", Args: arguments(0, 1, "one name"),
		Example: "  lakekit topic browse --offset 0 --limit 5\n  lakekit topic browse --partition 1 --offset -1 --json",
		PreRunE: func(*cobra.Command, []string) error {
			switch {
			case partition < -1:
				return usage("--partition %d: want a partition from 0 on, or -1 for all", partition)
			case options.Limit < 1:
				return usage("--limit %d: want at least 1", options.Limit)
			}
			return nil
		},
		RunE: shows(func(lab *lakekit.Workshop, args []string) (any, error) {
			options.Topic = strings.Join(args, "")
			if partition >= 0 {
				options.Partition = &partition
			}
			return lab.Browse(options)
		}),
	}
	c.Flags().IntVar(&partition, "partition", -1, "partition to read; -1: all")
	c.Flags().Int64Var(&options.Offset, "offset", 0, "first offset in each partition; -1: the newest messages")
	c.Flags().IntVar(&options.Limit, "limit", 10, "most messages to show")
	return withJSON(c)
}

func trafficCommand() *cobra.Command {
	var options lakekit.TrafficOptions
	var fromRow int64
	c := &cobra.Command{
		Use: "traffic", Short: "Produce taxi records to the topic; Ctrl-C stops", Args: noArguments,
		Example: "  lakekit traffic --rate 10000\n  lakekit traffic --records 1000000 --rate 0 --seed 7\n  lakekit traffic --csv train.csv.gz --rate 10000\n  lakekit traffic --csv train.csv.gz --from-row 1500000",
		RunE: inWorkshop(func(cmd *cobra.Command, lab *lakekit.Workshop, _ []string) (err error) {
			if cmd.Flags().Changed("from-row") {
				options.FromRow = &fromRow
			}
			if options.CSV != "" {
				if options.CSV, err = filepath.Abs(options.CSV); err != nil {
					return err
				}
			}
			return produce(cmd, lab, options)
		}),
	}
	flags := c.Flags()
	flags.Float64Var(&options.Rate, "rate", 10_000, "records a second; 0: as fast as it goes")
	flags.Int64Var(&options.Records, "records", 0, "number of records; 0: until Ctrl-C or the end of the file")
	flags.Uint64Var(&options.Seed, "seed", 1, "seed of the generator")
	flags.Int64Var(&fromRow, "from-row", 0, "first row, from 0 (default: after the last one produced with the seed; of a file its beginning)")
	flags.StringVar(&options.CSV, "csv", "", "read this file (train.csv, .gz or .zip) instead of generating")
	flags.StringVar(&options.Topic, "topic", "", "topic (default: the course's)")
	c.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if options.Rate < 0 || options.Records < 0 || fromRow < 0 {
			return usage("--rate, --records and --from-row must be numbers from 0 on")
		}
		if options.CSV != "" && !cmd.Flags().Changed("seed") {
			options.Seed = 0 // the generator's
		}
		return nil
	}
	c.AddCommand(trafficList(), trafficStop())
	return c
}

func trafficStop() *cobra.Command {
	return &cobra.Command{
		Use: "stop", Short: "Stop all runs of traffic", Example: "  lakekit traffic stop", Args: noArguments,
		RunE: shows(func(lab *lakekit.Workshop, _ []string) (any, error) {
			return lab.StopTraffic()
		}),
	}
}

func trafficList() *cobra.Command {
	return withJSON(&cobra.Command{
		Use: "list", Short: "List the runs of traffic since the last reset", Example: "  lakekit traffic list", Args: noArguments,
		RunE: shows(func(lab *lakekit.Workshop, _ []string) (any, error) {
			return lab.TrafficRuns()
		}),
	})
}

// produce follows a run to its end; Ctrl-C ends the run, not only the watching.
func produce(cmd *cobra.Command, lab *lakekit.Workshop, options lakekit.TrafficOptions) error {
	traffic, err := lab.StartTraffic(options)
	if err != nil {
		return err
	}
	progress, err := traffic.Wait()
	if errors.Is(err, context.Canceled) {
		progress, err = traffic.WithContext(context.WithoutCancel(cmd.Context())).Stop()
	}
	if progress.State != "" {
		if shown := show(cmd, progress); shown != nil {
			return shown
		}
	}
	if err == nil && progress.Message != "" {
		fmt.Fprintln(cmd.OutOrStdout(), progress.Message)
	}
	return err
}

func streamCommand() *cobra.Command {
	return group("stream", "Start, watch and stop streaming queries", "  lakekit stream start\n  lakekit stream status",
		streamStart(), streamStatus(), streamStop())
}

func streamStart() *cobra.Command {
	var options lakekit.StreamOptions
	var kafka []string
	var wait, failOnDataLoss, ignoreUnknownFields bool
	c := &cobra.Command{
		Use: "start", Short: "Stream the topic into the table", Args: noArguments,
		Example: "  lakekit stream start\n  lakekit stream start --trigger availableNow --wait\n  lakekit stream start --max-offsets-per-trigger 10000 --kafka fetch.min.bytes=65536",
		PreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cmd.Flags().Changed("fail-on-data-loss") {
				options.FailOnDataLoss = &failOnDataLoss
			}
			if cmd.Flags().Changed("ignore-unknown-fields") {
				options.IgnoreUnknownFields = &ignoreUnknownFields
			}
			options.Kafka, err = pairs("--kafka", kafka)
			return err
		},
		RunE: inWorkshop(func(cmd *cobra.Command, lab *lakekit.Workshop, _ []string) error {
			stream, err := lab.StartStream(options)
			if err != nil {
				return err
			}
			status, err := stream.Status()
			if wait && err == nil {
				status, err = stream.ProcessAllAvailable()
			}
			if err != nil {
				return err
			}
			return show(cmd, status)
		}),
	}
	flags := c.Flags()
	flags.StringVar(&options.Name, "name", "", "name of the stream (default: the table's)")
	flags.StringVar(&options.Subscribe, "subscribe", "", "topics, separated by commas (default: the course's)")
	flags.StringVar(&options.Table, "table", "", "table name or oss:// address (default: the course's)")
	flags.StringVar(&options.CheckpointLocation, "checkpoint-location", "", "oss:// address of the checkpoint (default: the course's)")
	flags.StringVar(&options.StartingOffsets, "starting-offsets", "", "earliest, latest or JSON (default: earliest)")
	flags.StringVar(&options.Trigger, "trigger", "", `"1 second", availableNow or once (default: 1 second)`)
	flags.Int64Var(&options.MaxOffsetsPerTrigger, "max-offsets-per-trigger", 0, "most records in a batch; 0: bounded by memory")
	flags.StringVar(&options.EndingOffsets, "ending-offsets", "", "with --trigger availableNow, where to end: latest or JSON (default: latest)")
	flags.Int64Var(&options.MinOffsetsPerTrigger, "min-offsets-per-trigger", 0, "records that a batch waits for")
	flags.StringVar(&options.MaxTriggerDelay, "max-trigger-delay", "", "longest wait for --min-offsets-per-trigger (default: 15m)")
	flags.BoolVar(&failOnDataLoss, "fail-on-data-loss", true, "end when records were removed from the topic before they were read")
	flags.BoolVar(&options.IncludeHeaders, "include-headers", false, "write the records' headers into the table's column headers, array<struct<key:string,value:binary>>, which --merge-schema adds")
	flags.BoolVar(&options.MergeSchema, "merge-schema", false, "add a column for each field that the table does not have")
	flags.BoolVar(&ignoreUnknownFields, "ignore-unknown-fields", true, "write a record without the fields that have no column and get none, or are repeated; stream status tells which and how often. false: such a record is a dead letter")
	flags.Int64Var(&options.BufferBytes, "buffer-bytes", 0, "bound on the records in memory (default: 256 MiB)")
	flags.StringArrayVar(&kafka, "kafka", nil, "NAME=VALUE of a kafka.* option, by librdkafka's names (repeatable)")
	flags.BoolVar(&wait, "wait", false, "wait until everything in the topic is in the table")
	return c
}

// given is the name that a flag was given, if it was.
func given(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

func streamStatus() *cobra.Command {
	var name string
	var progress bool
	c := &cobra.Command{
		Use: "status", Short: "Show what a stream is doing", Args: noArguments,
		Example: "  lakekit stream status\n  lakekit stream status --progress --json",
		RunE: shows(func(lab *lakekit.Workshop, _ []string) (any, error) {
			stream := lab.Stream(given(name)...)
			if progress {
				return stream.RecentProgress()
			}
			return stream.Status()
		}),
	}
	c.Flags().StringVar(&name, "name", "", "name of the stream (default: the course's)")
	c.Flags().BoolVar(&progress, "progress", false, "show the last batches")
	return withJSON(c)
}

func streamStop() *cobra.Command {
	var name string
	var drain, now bool
	c := &cobra.Command{
		Use: "stop", Short: "Stop a stream between two batches", Example: "  lakekit stream stop\n  lakekit stream stop --drain", Args: noArguments,
		RunE: shows(func(lab *lakekit.Workshop, _ []string) (any, error) {
			stream := lab.Stream(given(name)...)
			switch {
			case drain:
				return stream.Drain()
			case now:
				return stream.StopNow()
			}
			return stream.Stop()
		}),
	}
	c.Flags().StringVar(&name, "name", "", "name of the stream (default: the course's)")
	c.Flags().BoolVar(&drain, "drain", false, "first take everything that is in the topic now")
	c.Flags().BoolVar(&now, "now", false, "abandon the batch being written; the next start writes it")
	c.MarkFlagsMutuallyExclusive("drain", "now")
	return c
}

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ls [oss://BUCKET/FOLDER]", Short: "List what the object store holds", Args: arguments(0, 1, "one address"),
		Example: "  lakekit ls oss://lake/delta/taxi_record",
		RunE: shows(func(lab *lakekit.Workshop, args []string) (any, error) {
			uri := "oss://" + lab.Settings().OSS.Bucket + "/"
			if len(args) > 0 {
				uri = args[0]
			}
			return lab.List(uri)
		}),
	}
}

func verifyCommand() *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use: "verify", Short: "Compare the table with what was produced, record by record and chart by chart", Args: noArguments,
		Example: "  lakekit verify --wait",
		RunE: inWorkshop(func(cmd *cobra.Command, lab *lakekit.Workshop, _ []string) error {
			if wait {
				if _, err := lab.Stream().ProcessAllAvailable(); err != nil {
					return err
				}
			}
			verdict, err := lab.Verify()
			if err != nil {
				return err
			}
			if err := show(cmd, verdict); err != nil || verdict.OK {
				return err
			}
			return errTold
		}),
	}
	c.Flags().BoolVar(&wait, "wait", false, "wait until the stream has taken everything in the topic")
	return withJSON(c)
}
