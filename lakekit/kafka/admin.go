package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/internal/wait"
)

// answerTimeout bounds a call to the cluster, on top of the caller's context.
const answerTimeout = 10 * time.Second

// Admin describes a cluster and makes and deletes its topics. It is for many
// calls, at once if need be; Close it.
type Admin struct {
	client  *confluent.AdminClient
	parent  *confluent.Producer // unlike an AdminClient of its own it hands out error events
	servers string
	health  *health
	drained sync.WaitGroup
	logs    chan struct{} // closed when the client's log has ended
}

// NewAdmin makes a client. It does not connect yet: a wrong address shows at
// the first call, a wrong property here.
func NewAdmin(c Config) (*Admin, error) {
	parent, err := confluent.NewProducer(c.admin())
	if err != nil {
		return nil, fmt.Errorf("make a kafka admin client: %w", err)
	}
	client, err := confluent.NewAdminClientFromProducer(parent)
	if err != nil {
		parent.Close()
		return nil, fmt.Errorf("make a kafka admin client: %w", err)
	}
	a := &Admin{client: client, parent: parent, servers: c.Servers(), health: &health{}}
	a.logs = a.health.follow(parent.Logs())
	a.drained.Go(func() {
		for e := range parent.Events() {
			if e, ok := e.(confluent.Error); ok {
				a.health.event(e)
			}
		}
	})
	return a, nil
}

// Close ends the client.
func (a *Admin) Close() {
	a.client.Close()
	a.parent.Close()
	a.drained.Wait()
	<-a.logs
}

// begin bounds a call: by answerTimeout, and by a refusal.
func (a *Admin) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	ctx, end := a.health.watch(ctx)
	return ctx, func() {
		end()
		cancel()
	}
}

// Cluster describes the cluster.
func (a *Admin) Cluster(ctx context.Context) (api.ClusterInfo, error) {
	ctx, end := a.begin(ctx)
	defer end()
	d, err := a.client.DescribeCluster(ctx)
	if err != nil {
		return api.ClusterInfo{}, a.failed(err, "describe the cluster")
	}
	a.health.well()
	info := api.ClusterInfo{ControllerID: -1}
	if d.ClusterID != nil {
		info.ID = *d.ClusterID
	}
	if d.Controller != nil {
		info.ControllerID = int32(d.Controller.ID)
	}
	for _, n := range d.Nodes {
		b := api.BrokerInfo{ID: int32(n.ID), Host: n.Host, Port: n.Port}
		if n.Rack != nil {
			b.Rack = *n.Rack
		}
		info.Brokers = append(info.Brokers, b)
	}
	slices.SortFunc(info.Brokers, func(x, y api.BrokerInfo) int { return cmp.Compare(x.ID, y.ID) })
	return info, nil
}

// TopicSpec describes a topic to be.
type TopicSpec struct {
	Name              string
	Partitions        int               // 0: the cluster's default
	ReplicationFactor int               // 0: the cluster's default
	Configs           map[string]string // topic-level settings, such as retention.ms
}

func (spec TopicSpec) check() error {
	if err := CheckOwnTopic(spec.Name); err != nil {
		return err
	}
	for _, n := range []struct {
		what  string
		given int
		most  int
	}{{"partitions", spec.Partitions, math.MaxInt32}, {"replicas", spec.ReplicationFactor, math.MaxInt16}} {
		if n.given < 0 || n.given > n.most {
			return fmt.Errorf("create topic %s: %w: %d %s: want at least 1, or 0 for the cluster's default", spec.Name, ErrOptions, n.given, n.what)
		}
	}
	return nil
}

// CreateTopic makes the topic and returns when it can be used. A topic that
// exists is left as it is, which is an error if its settings or its number of
// partitions are not those asked for (ErrTopicSettings, which is looked at first,
// and ErrPartitionCount).
func (a *Admin) CreateTopic(ctx context.Context, spec TopicSpec) (api.TopicInfo, error) {
	if err := spec.check(); err != nil {
		return api.TopicInfo{}, err
	}
	ctx, end := a.begin(ctx)
	defer end()
	err := a.createTopic(ctx, spec)
	exists := isCode(err, confluent.ErrTopicAlreadyExists)
	if isCode(err, confluent.ErrTopicException) { // the name itself was checked
		return api.TopicInfo{}, fmt.Errorf("%w %q: the cluster has a topic whose name differs only in '.' and '_', which its metrics do not tell apart, or keeps this name for itself (%w): choose another", ErrTopicName, spec.Name, err)
	}
	if err != nil && !exists {
		return api.TopicInfo{}, a.failed(err, "create topic %s", spec.Name)
	}
	info, err := a.awaitTopic(ctx, spec.Name)
	if err != nil {
		return api.TopicInfo{}, err
	}
	if exists && len(spec.Configs) > 0 {
		if err := a.sameSettings(ctx, spec); err != nil {
			return info, err
		}
	}
	if has := len(info.Partitions); exists && spec.Partitions > 0 && has != spec.Partitions {
		return info, fmt.Errorf("%w: %s has %d, %d were asked for: use it as it is, delete it first (its records are lost), or choose another name", ErrPartitionCount, spec.Name, has, spec.Partitions)
	}
	return info, nil
}

// sameSettings compares the settings asked for with those that hold for the
// topic, be they its own or the cluster's.
func (a *Admin) sameSettings(ctx context.Context, spec TopicSpec) error {
	entries, err := a.topicConfigs(ctx, spec.Name)
	if err != nil {
		return a.failed(err, "describe the settings of topic %s", spec.Name)
	}
	var others []string
	for _, name := range slices.Sorted(maps.Keys(spec.Configs)) {
		want := spec.Configs[name]
		entry, known := entries[name]
		switch {
		case !known:
			others = append(others, fmt.Sprintf("it has no %s (%s was asked for)", name, want))
		case !entry.IsSensitive && !sameSetting(entry.Value, want):
			others = append(others, fmt.Sprintf("%s is %s, %s was asked for", name, entry.Value, want))
		}
	}
	if len(others) > 0 {
		return fmt.Errorf("%w: %s: %s: use it as it is (ask for no settings), delete it first (its records are lost), or choose another name",
			ErrTopicSettings, spec.Name, strings.Join(others, "; "))
	}
	return nil
}

// sameSetting compares as Kafka reads: numbers by value, words of a list one by
// one, true and false in letters of any size.
func sameSetting(a, b string) bool {
	read := func(text string) string {
		words := strings.Split(text, ",")
		for i, word := range words {
			words[i] = strings.TrimSpace(word)
			if n, err := strconv.ParseInt(words[i], 10, 64); err == nil {
				words[i] = strconv.FormatInt(n, 10)
			} else if x, err := strconv.ParseFloat(words[i], 64); err == nil {
				words[i] = strconv.FormatFloat(x, 'g', -1, 64)
			} else if lower := strings.ToLower(words[i]); lower == "true" || lower == "false" {
				words[i] = lower
			}
		}
		return strings.Join(words, ",")
	}
	return read(a) == read(b)
}

func (a *Admin) createTopic(ctx context.Context, spec TopicSpec, options ...confluent.CreateTopicsAdminOption) error {
	orDefault := func(n int) int {
		if n == 0 {
			return -1 // KIP-464
		}
		return n
	}
	results, err := a.client.CreateTopics(ctx, []confluent.TopicSpecification{{
		Topic:             spec.Name,
		NumPartitions:     orDefault(spec.Partitions),
		ReplicationFactor: orDefault(spec.ReplicationFactor),
		Config:            spec.Configs,
	}}, options...)
	if err != nil {
		return err
	}
	return orNil(results[0].Error)
}

// awaitTopic describes a topic that was just made, of which a cluster of
// several brokers learns step by step.
func (a *Admin) awaitTopic(ctx context.Context, name string) (api.TopicInfo, error) {
	for {
		info, err := a.describeTopic(ctx, name)
		if !errors.Is(err, ErrTopicNotFound) {
			return info, err
		}
		if wait.For(ctx, pollInterval) != nil {
			return info, a.failed(err, "wait for topic %s", name)
		}
	}
}

// pollInterval is between two looks at a cluster that is still at work.
const pollInterval = 50 * time.Millisecond

// isInMotion is for a partition that has just been made, is being deleted, or
// gets another leader.
func isInMotion(err error) bool {
	return isCode(err, confluent.ErrLeaderNotAvailable, confluent.ErrNotLeaderForPartition, confluent.ErrUnknownLeaderEpoch,
		confluent.ErrFencedLeaderEpoch, confluent.ErrOffsetNotAvailable, confluent.ErrKafkaStorageError)
}

// Topics describes all topics but the cluster's internal ones, by name,
// without their settings.
func (a *Admin) Topics(ctx context.Context) ([]api.TopicInfo, error) {
	ctx, end := a.begin(ctx)
	defer end()
	md, err := a.metadata(ctx, true)
	if err != nil {
		return nil, a.failed(err, "list the topics")
	}
	var names []string
	for name := range md.Topics {
		names = append(names, name)
	}
	slices.Sort(names)
	described, err := a.describe(ctx, names)
	if err != nil {
		return nil, a.failed(err, "describe the topics")
	}
	topics := []api.TopicInfo{}
	for _, t := range described {
		if t.err != nil && !isCode(t.err, confluent.ErrUnknownTopicOrPart) { // deleted meanwhile
			return nil, a.failed(t.err, "describe topic %s", t.info.Name)
		}
		if t.err == nil && !t.info.Internal {
			topics = append(topics, t.info)
		}
	}
	return topics, nil
}

// metadata asks any broker, in rounds: librdkafka's call does not end with ctx,
// and a far broker may need longer than the first of them.
func (a *Admin) metadata(ctx context.Context, allTopics bool) (*confluent.Metadata, error) {
	for round := 250 * time.Millisecond; ; round *= 2 {
		md, err := a.client.GetMetadata(nil, allTopics, int(min(round, timeLeft(ctx)).Milliseconds()))
		if err == nil {
			a.health.well()
			return md, nil
		}
		if ctx.Err() != nil || !isCode(err, noAnswer...) {
			return nil, cmp.Or(ctx.Err(), err)
		}
	}
}

// DescribeTopic describes one topic, or returns ErrTopicNotFound.
func (a *Admin) DescribeTopic(ctx context.Context, name string) (api.TopicInfo, error) {
	if err := CheckTopicName(name); err != nil {
		return api.TopicInfo{}, err
	}
	ctx, end := a.begin(ctx)
	defer end()
	return a.describeTopic(ctx, name)
}

func (a *Admin) describeTopic(ctx context.Context, name string) (api.TopicInfo, error) {
	described, err := a.describe(ctx, []string{name})
	if err == nil {
		err = described[0].err
	}
	if err != nil {
		return api.TopicInfo{}, a.failed(err, "describe topic %s", name)
	}
	info := described[0].info
	entries, err := a.topicConfigs(ctx, name)
	if err != nil {
		return api.TopicInfo{}, a.failed(err, "describe the settings of topic %s", name)
	}
	info.Configs = map[string]string{} // those of its own
	for _, entry := range entries {
		if entry.Source == confluent.ConfigSourceDynamicTopic && !entry.IsSensitive {
			info.Configs[entry.Name] = entry.Value
		}
	}
	return info, nil
}

type describedTopic struct {
	info api.TopicInfo
	err  error
}

// describe answers for each name, in the order of names, when none of them is
// in motion or ctx ends.
func (a *Admin) describe(ctx context.Context, names []string) ([]describedTopic, error) {
	if len(names) == 0 {
		return nil, nil
	}
	for {
		topics, err := a.describeNow(ctx, names)
		inMotion := slices.ContainsFunc(topics, func(t describedTopic) bool { return isInMotion(t.err) })
		if err != nil || !inMotion || wait.For(ctx, pollInterval) != nil {
			return topics, err
		}
	}
}

func (a *Admin) describeNow(ctx context.Context, names []string) ([]describedTopic, error) {
	result, err := a.client.DescribeTopics(ctx, confluent.NewTopicCollectionOfTopicNames(names))
	if err != nil {
		return nil, err
	}
	a.health.well()
	topics := make([]describedTopic, len(names))
	var all []topicPartition
	for _, d := range result.TopicDescriptions {
		i := slices.Index(names, d.Name)
		topics[i] = describedTopic{topicInfo(d), orNil(d.Error)}
		for _, p := range topics[i].info.Partitions {
			all = append(all, topicPartition{d.Name, p.Partition})
		}
	}
	earliest, err := a.offsets(ctx, all, confluent.EarliestOffsetSpec)
	if err != nil {
		return nil, err
	}
	latest, err := a.offsets(ctx, all, confluent.LatestOffsetSpec)
	if err != nil {
		return nil, err
	}
	for i := range topics {
		t := &topics[i]
		for j := range t.info.Partitions {
			p := &t.info.Partitions[j]
			at := topicPartition{t.info.Name, p.Partition}
			p.EarliestOffset, p.LatestOffset = int64(earliest[at].Offset), int64(latest[at].Offset)
			t.err = cmp.Or(t.err, orNil(earliest[at].Error), orNil(latest[at].Error))
		}
	}
	return topics, nil
}

func topicInfo(d confluent.TopicDescription) api.TopicInfo {
	info := api.TopicInfo{Name: d.Name, ID: d.TopicID.String(), Internal: d.IsInternal}
	for _, p := range d.Partitions {
		leader := int32(-1)
		if p.Leader != nil {
			leader = int32(p.Leader.ID)
		}
		info.Partitions = append(info.Partitions, api.PartitionInfo{
			Partition:      int32(p.Partition),
			Leader:         leader,
			Replicas:       nodeIDs(p.Replicas),
			InSyncReplicas: nodeIDs(p.Isr),
		})
	}
	slices.SortFunc(info.Partitions, func(x, y api.PartitionInfo) int { return cmp.Compare(x.Partition, y.Partition) })
	return info
}

func nodeIDs(nodes []confluent.Node) []int32 {
	ids := make([]int32, len(nodes))
	for i, n := range nodes {
		ids[i] = int32(n.ID)
	}
	return ids
}

type topicPartition struct {
	topic     string
	partition int32
}

func (a *Admin) offsets(ctx context.Context, of []topicPartition, spec confluent.OffsetSpec) (map[topicPartition]confluent.ListOffsetsResultInfo, error) {
	if len(of) == 0 {
		return nil, nil
	}
	request := map[confluent.TopicPartition]confluent.OffsetSpec{}
	for _, p := range of {
		request[confluent.TopicPartition{Topic: &p.topic, Partition: p.partition}] = spec
	}
	result, err := a.client.ListOffsets(ctx, request)
	if err != nil {
		return nil, err
	}
	offsets := make(map[topicPartition]confluent.ListOffsetsResultInfo, len(of))
	for p, info := range result.ResultInfos {
		offsets[topicPartition{*p.Topic, p.Partition}] = info
	}
	return offsets, nil
}

// topicConfigs returns the settings that hold for the topic, by name.
func (a *Admin) topicConfigs(ctx context.Context, name string) (map[string]confluent.ConfigEntryResult, error) {
	results, err := a.client.DescribeConfigs(ctx, []confluent.ConfigResource{{Type: confluent.ResourceTopic, Name: name}})
	if err != nil {
		return nil, err
	}
	if err := orNil(results[0].Error); err != nil {
		return nil, err
	}
	return results[0].Config, nil
}

// DeleteTopic deletes the topic with its records and returns when it is gone.
func (a *Admin) DeleteTopic(ctx context.Context, name string) error {
	if err := CheckOwnTopic(name); err != nil {
		return err
	}
	ctx, end := a.begin(ctx)
	defer end()
	results, err := a.client.DeleteTopics(ctx, []string{name})
	if err == nil {
		err = orNil(results[0].Error)
	}
	if err != nil {
		return a.failed(err, "delete topic %s", name)
	}
	for {
		_, err := a.describeTopic(ctx, name)
		if errors.Is(err, ErrTopicNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := wait.For(ctx, pollInterval); err != nil {
			return a.failed(err, "wait until topic %s is gone", name)
		}
	}
}

// topicName is what Kafka allows, but for "." and "..".
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// CheckTopicName returns an [ErrTopicName] for a name that no topic can have.
func CheckTopicName(name string) error {
	if topicName.MatchString(name) && name != "." && name != ".." {
		return nil
	}
	return fmt.Errorf("%w %q: 1 to 249 letters a-z and A-Z, digits, '.', '_' and '-'", ErrTopicName, name)
}

// CheckOwnTopic is CheckTopicName for a topic that is to be made, written to or
// deleted: those of Kafka and of tools beside it begin with two underscores, and
// whoever writes into or deletes __consumer_offsets takes their places from all
// groups of the cluster.
func CheckOwnTopic(name string) error {
	if strings.HasPrefix(name, "__") {
		return fmt.Errorf("%w %q: names that begin with __ are of topics that Kafka keeps for itself: choose another", ErrTopicName, name)
	}
	return CheckTopicName(name)
}

// failed says what failed, and why.
func (a *Admin) failed(err error, format string, args ...any) error {
	return callFailed(err, a.servers, a.health, format, args...)
}

func timeLeft(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return answerTimeout
	}
	return max(time.Until(deadline), time.Millisecond)
}
