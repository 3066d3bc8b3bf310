package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"taxilake/lakekit/broker"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
)

// version is that of the kit as a whole, by semantic versioning.
const version = "0.2.0"

// versions are what a report of a fault should name: this program, and of each
// protocol how much of it is spoken.
type versions struct {
	Version string `json:"version"`
	Commit  string `json:"commit"` // "unknown" when built outside of a clone; ends in "+changes" when files differed
	Go      string `json:"go"`
	System  string `json:"system"`
	Delta   struct {
		Protocol      string   `json:"protocol"`
		ReadFeatures  []string `json:"readFeatures"`
		WriteFeatures []string `json:"writeFeatures"`
	} `json:"delta"`
	Kafka struct {
		Librdkafka string `json:"librdkafka"` // of all clients, and so the oldest and newest Kafka they reach
		Broker     string `json:"broker"`     // the Kafka whose requests the embedded broker answers
	} `json:"kafka"`
	OSS struct {
		SDK        string   `json:"sdk"`
		Signatures []string `json:"signatures"`
	} `json:"oss"`
	Libraries map[string]string `json:"libraries"` // module path to version, of those that decide what is understood
}

// libraries are modules whose version a report of a fault should name.
var libraries = []string{
	"github.com/aliyun/aliyun-oss-go-sdk",
	"github.com/apache/arrow-go/v18",
	"github.com/confluentinc/confluent-kafka-go/v2",
	"github.com/duckdb/duckdb-go/v2",
	"github.com/go-echarts/go-echarts/v2",
	"github.com/twmb/franz-go/pkg/kfake",
}

func thisVersion() versions {
	v := versions{Version: version, Commit: "unknown", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	v.Delta.Protocol = delta.ProtocolVersions
	v.Delta.ReadFeatures, v.Delta.WriteFeatures = delta.Features()
	v.Kafka.Librdkafka, v.Kafka.Broker = kafka.LibraryVersion(), broker.KafkaVersion()
	v.OSS.Signatures = []string{"V1", "V4"}
	v.Libraries = map[string]string{}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	changed := ""
	for _, setting := range build.Settings {
		switch {
		case setting.Key == "vcs.revision":
			v.Commit = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			changed = "+changes"
		}
	}
	v.Commit += changed
	for _, module := range build.Deps {
		for _, path := range libraries {
			if module.Path == path {
				v.Libraries[path] = strings.TrimSuffix(module.Version, "+incompatible")
			}
		}
	}
	v.OSS.SDK = v.Libraries["github.com/aliyun/aliyun-oss-go-sdk"]
	return v
}

func (v versions) write(w io.Writer) {
	fmt.Fprintf(w, "lakekit %s, commit %s, built with %s for %s\n", v.Version, v.Commit, v.Go, v.System)
	fmt.Fprintf(w, "Delta   %s\n        reads %s\n        writes tables that list %s; one that uses a constraint, generated column, mapping or feed is refused\n",
		v.Delta.Protocol, strings.Join(v.Delta.ReadFeatures, ", "), strings.Join(v.Delta.WriteFeatures, ", "))
	fmt.Fprintf(w, "Kafka   librdkafka %s; the embedded broker answers as Kafka %s\n", v.Kafka.Librdkafka, v.Kafka.Broker)
	fmt.Fprintf(w, "OSS     aliyun-oss-go-sdk %s, signatures %s\n", v.OSS.SDK, strings.Join(v.OSS.Signatures, " and "))
	for _, path := range libraries {
		if v.Libraries[path] != "" {
			fmt.Fprintf(w, "        %s %s\n", path, v.Libraries[path])
		}
	}
}

func versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "version", Short: "Show version and commit, and which Delta, Kafka and OSS are spoken", Example: "  lakekit version\n  lakekit version --json", Args: noArguments,
		RunE: does(func(cmd *cobra.Command, _ []string) error {
			v := thisVersion()
			if asJSON(cmd) {
				return show(cmd, v)
			}
			v.write(cmd.OutOrStdout())
			return nil
		}),
	}
	return withJSON(c)
}
