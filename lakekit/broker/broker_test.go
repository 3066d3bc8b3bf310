package broker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"taxilake/lakekit/broker"
)

// These make a run of this test binary a broker, to be killed.
const (
	brokerDir  = "BROKER_TEST_DIR"
	brokerPort = "BROKER_TEST_PORT"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(brokerDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	port, err := strconv.Atoi(os.Getenv(brokerPort))
	if err == nil {
		err = broker.Run(context.Background(), broker.Options{Dir: dir, Port: port, Ready: func(addr string) { fmt.Println(addr) }})
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// startProcess runs a broker in a process of its own; kill is kill -9.
func startProcess(t *testing.T, dir string, port int) (addr string, kill func()) {
	t.Helper()
	addr, _, kill = startCommand(t, dir, port)
	return addr, kill
}

func startCommand(t *testing.T, dir string, port int) (addr string, process *os.Process, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokerDir+"="+dir, brokerPort+"="+strconv.Itoa(port))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker's process did not start: %v", err)
	}
	return strings.TrimSpace(line), cmd.Process, kill
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// serve runs a broker until stop, which waits for its end.
func serve(t *testing.T, dir string) (addr string, stop func()) {
	t.Helper()
	return serveWith(t, broker.Options{Dir: dir})
}

func serveWith(t *testing.T, o broker.Options) (addr string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	o.Ready = func(addr string) { ready <- addr }
	go func() { ended <- broker.Run(ctx, o) }()
	select {
	case addr = <-ready:
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return addr, stop
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newTopic(name string, configs ...string) kmsg.CreateTopicsRequestTopic {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	for _, c := range configs {
		key, value, _ := strings.Cut(c, "=")
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = key, &value
		topic.Configs = append(topic.Configs, config)
	}
	return topic
}

func create(t *testing.T, c *kgo.Client, topics ...kmsg.CreateTopicsRequestTopic) []kmsg.CreateTopicsResponseTopic {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = topics
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Topics
}

func mustCreate(t *testing.T, c *kgo.Client, topic kmsg.CreateTopicsRequestTopic) kmsg.CreateTopicsResponseTopic {
	t.Helper()
	answer := create(t, c, topic)[0]
	if answer.ErrorCode != 0 {
		t.Fatalf("create %s: %v", topic.Topic, kerr.ErrorForCode(answer.ErrorCode))
	}
	return answer
}

// ownConfigs returns the settings that the topic has of its own.
func ownConfigs(t *testing.T, c *kgo.Client, topic string) map[string]string {
	t.Helper()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	configs := map[string]string{}
	for _, entry := range resp.Resources[0].Configs {
		if entry.Source == kmsg.ConfigSourceDynamicTopicConfig {
			configs[entry.Name] = *entry.Value
		}
	}
	return configs
}

// endOffset returns the offset that the next record of partition 0 gets.
func endOffset(t *testing.T, c *kgo.Client, topic string) int64 {
	t.Helper()
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Timestamp = -1 // latest
	of := kmsg.NewListOffsetsRequestTopic()
	of.Topic, of.Partitions = topic, append(of.Partitions, partition)
	req := kmsg.NewPtrListOffsetsRequest()
	req.Topics = append(req.Topics, of)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		t.Fatal(err)
	}
	return p.Offset
}

func produce(t *testing.T, c *kgo.Client, topic string, n int) {
	t.Helper()
	for range n {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	for _, test := range []struct {
		name  string
		start func(t *testing.T, dir string) (addr string, end func())
	}{
		{"after a clean stop", serve},
		{"after kill -9", func(t *testing.T, dir string) (string, func()) { return startProcess(t, dir, 0) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			addr, end := test.start(t, dir)
			c := client(t, addr)
			before := mustCreate(t, c, newTopic("kept", "retention.ms=60000"))
			produce(t, c, "kept", 7)
			offset := kmsg.NewOffsetCommitRequestTopicPartition()
			offset.Offset = 5
			commit := kmsg.NewPtrOffsetCommitRequest()
			commit.Group = "readers"
			commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "kept", TopicID: before.TopicID, Partitions: []kmsg.OffsetCommitRequestTopicPartition{offset}}}
			if _, err := commit.RequestWith(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			configs := ownConfigs(t, c, "kept")
			end()

			addr, _ = serve(t, dir)
			c = client(t, addr)
			if got := endOffset(t, c, "kept"); got != 7 {
				t.Errorf("end offset %d, want 7", got)
			}
			if got := ownConfigs(t, c, "kept"); fmt.Sprint(got) != fmt.Sprint(configs) || got["retention.ms"] != "60000" {
				t.Errorf("settings %v, want %v", got, configs)
			}
			metadata := kmsg.NewPtrMetadataRequest()
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = kmsg.StringPtr("kept")
			metadata.Topics = append(metadata.Topics, topic)
			m, err := metadata.RequestWith(t.Context(), c)
			if err != nil || m.Topics[0].TopicID != before.TopicID {
				t.Errorf("topic id %x (%v), want %x", m.Topics[0].TopicID, err, before.TopicID)
			}
			fetch := kmsg.NewPtrOffsetFetchRequest()
			fetch.Group = "readers"
			group := kmsg.NewOffsetFetchRequestGroup()
			group.Group = "readers"
			fetch.Groups = append(fetch.Groups, group)
			f, err := fetch.RequestWith(t.Context(), c)
			if err != nil || len(f.Groups) != 1 || len(f.Groups[0].Topics) != 1 || f.Groups[0].Topics[0].Partitions[0].Offset != 5 {
				t.Errorf("committed offsets %+v (%v), want 5", f, err)
			}
			produce(t, c, "kept", 1)
			if got := endOffset(t, c, "kept"); got != 8 {
				t.Errorf("end offset after one more record %d, want 8", got)
			}
		})
	}
}

func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	second := func() error {
		return broker.Run(t.Context(), broker.Options{Dir: dir, Ready: func(string) { t.Error("a second broker serves the folder") }})
	}
	t.Run("by this process", func(t *testing.T) {
		_, stop := serve(t, dir)
		defer stop()
		err := second()
		if !errors.Is(err, broker.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) || !strings.Contains(err.Error(), dir) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("by another process", func(t *testing.T) {
		_, kill := startProcess(t, dir, 0)
		if err := second(); !errors.Is(err, broker.ErrLocked) {
			t.Errorf("error %v", err)
		}
		kill()
		_, stop := serve(t, dir) // the lock ended with the process
		stop()
	})
}

func TestPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	err = broker.Run(t.Context(), broker.Options{Dir: dir, Port: port})
	if !errors.Is(err, broker.ErrPortTaken) || !strings.Contains(err.Error(), strconv.Itoa(port)) {
		t.Errorf("error %v", err)
	}
	_, stop := serve(t, dir) // the folder is free again
	stop()
}

func TestFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := broker.Run(t.Context(), broker.Options{Dir: filepath.Join(file, "broker")}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v", err)
	}
}

func TestTopicsAreNotMadeByAsking(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	c := client(t, addr, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(1))
	err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "typo", Value: []byte("v")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("error %v, want an unknown topic", err)
	}
}

func ExampleRun() {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithCancel(context.Background())
	err = broker.Run(ctx, broker.Options{Dir: dir, Ready: func(addr string) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			fmt.Println(err)
			return
		}
		conn.Close()
		fmt.Println("it answers")
		stop()
	}})
	fmt.Println("stopped:", err)
	// Output:
	// it answers
	// stopped: <nil>
}

// Java's AdminClient prefers DescribeTopicPartitions where it is offered, and
// cannot read kfake's answer to it; librdkafka logs what it learns of telemetry.
func TestNotOffered(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(t.Context(), client(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range answer.ApiKeys {
		switch kmsg.Key(key.ApiKey) {
		case kmsg.DescribeTopicPartitions, kmsg.GetTelemetrySubscriptions, kmsg.PushTelemetry:
			t.Errorf("%s is offered in versions %d to %d", kmsg.NameForKey(key.ApiKey), key.MinVersion, key.MaxVersion)
		}
	}
	if len(answer.ApiKeys) < 30 {
		t.Errorf("only %d requests are offered", len(answer.ApiKeys))
	}
}
