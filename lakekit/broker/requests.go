package broker

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every topic gets its own retention, because kfake applies none to a topic
// without. Records do not expire by age, so that a topic is still full after
// the holidays; a partition is cut at 2 GiB, some 20 million taxi records. One
// that is compacted only is not cut at all, as in Kafka. As retention removes
// whole segments, these are small.
const (
	retentionMillis = "retention.ms"
	retentionBytes  = "retention.bytes"
	segmentBytes    = "segment.bytes"
	keepAll         = "-1"
	keepMuch        = "2147483648"
	smallSegment    = "16777216"
)

// ownSettings are those that every topic has, by default as withRetention says.
var ownSettings = []string{retentionMillis, retentionBytes, segmentBytes}

// settings are those of a topic, by name.
type settings map[string]*string

// compactedOnly: in Kafka, retention deletes nothing of such a topic; in kfake
// it would.
func (s settings) compactedOnly() bool {
	policy := s[cleanupPolicy]
	return policy != nil && strings.Contains(*policy, "compact") && !strings.Contains(*policy, "delete")
}

// withRetention completes the settings of a topic.
func (s settings) withRetention() *rejection {
	all, much, small := keepAll, keepMuch, smallSegment
	if s[retentionMillis] == nil {
		s[retentionMillis] = &all
	}
	if s[retentionBytes] == nil {
		s[retentionBytes] = &much
	}
	if s[segmentBytes] == nil {
		s[segmentBytes] = &small
	}
	if !s.compactedOnly() {
		return nil
	}
	if *s[retentionBytes] == keepMuch {
		s[retentionBytes] = &all
	}
	for _, name := range []string{retentionMillis, retentionBytes} {
		if *s[name] != keepAll {
			return rejectf(kerr.InvalidConfig, "topic setting %s=%s: a topic with %s=compact keeps the last record of each key for ever; ask for %s=compact,delete, or leave %s out", name, *s[name], cleanupPolicy, cleanupPolicy, name)
		}
	}
	return nil
}

// maxPartitionsPerRequest is Kafka's ReplicationControlManager bound.
const maxPartitionsPerRequest = 10_000

// topicRequests makes the cluster refuse bad topics and settings, and put
// retention on topics whose creator did not, whatever client asks.
type topicRequests struct{ *kfake.Cluster }

func checkTopicRequests(c *kfake.Cluster) {
	requests := topicRequests{c}
	for key, check := range map[kmsg.Key]func(kmsg.Request) kmsg.Response{
		kmsg.CreateTopics:            requests.checkCreateTopics,
		kmsg.CreatePartitions:        requests.checkCreatePartitions,
		kmsg.AlterConfigs:            requests.checkAlterConfigs,
		kmsg.IncrementalAlterConfigs: requests.checkIncrementalAlterConfigs,

		kmsg.AlterPartitionAssignments: requests.checkAssignments,
	} {
		control(c, key, func(r kmsg.Request) (kmsg.Response, error) { return check(r), nil })
	}
}

// The checks below return nil for a request that the cluster shall carry out.
// Kafka answers for each topic of a request; here one bad topic refuses the
// good ones beside it too, with this answer.
var beside = rejectf(kerr.InvalidRequest, "not done because another topic in the same request was refused")

func firstOf(rejections ...*rejection) *rejection {
	for _, r := range rejections {
		if r != nil {
			return r
		}
	}
	return nil
}

func (topicRequests) checkCreateTopics(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.CreateTopicsRequest)
	var (
		rejections = make([]*rejection, len(req.Topics))
		refuse     bool
		partitions int
	)
	for i := range req.Topics {
		t := &req.Topics[i]
		partitions += max(int(t.NumPartitions), len(t.ReplicaAssignment))
		rejections[i] = checkNewTopic(t, partitions)
		refuse = refuse || rejections[i] != nil
	}
	if !refuse {
		return nil
	}
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	for i, t := range req.Topics {
		rejected := firstOf(rejections[i], beside)
		answer := kmsg.NewCreateTopicsResponseTopic()
		answer.Topic = t.Topic
		answer.ErrorCode = rejected.code.Code
		answer.ErrorMessage = &rejected.message
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

// checkNewTopic also gives the topic the settings that it is to have.
func checkNewTopic(t *kmsg.CreateTopicsRequestTopic, partitionsSoFar int) *rejection {
	if r := checkTopicName(t.Topic); r != nil {
		return r
	}
	switch assigned := len(t.ReplicaAssignment) > 0; {
	case partitionsSoFar > maxPartitionsPerRequest:
		return rejectf(kerr.PolicyViolation, "more than %d partitions in one request", maxPartitionsPerRequest)
	case !assigned && t.NumPartitions < 1 && t.NumPartitions != -1:
		return rejectf(kerr.InvalidPartitions, "number of partitions must be at least 1, or -1 for the default")
	case !assigned && t.ReplicationFactor < 1 && t.ReplicationFactor != -1:
		return rejectf(kerr.InvalidReplicationFactor, "replication factor must be at least 1, or -1 for the default")
	case t.ReplicationFactor > 1:
		return rejectf(kerr.InvalidReplicationFactor, "replication factor is %d, but this cluster has one broker: ask for 1", t.ReplicationFactor)
	}
	for _, a := range t.ReplicaAssignment {
		if r := checkReplicas(a.Replicas); r != nil {
			return r
		}
	}
	s := settings{}
	for _, c := range t.Configs {
		if r := s.set(c.Name, c.Value); r != nil {
			return r
		}
	}
	if r := s.withRetention(); r != nil {
		return r
	}
	t.Configs = nil
	for name, value := range s {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, value
		t.Configs = append(t.Configs, c)
	}
	return nil
}

// set takes a setting as kfake reads it, without the spaces that Kafka ignores.
func (s settings) set(name string, value *string) *rejection {
	if r := checkTopicConfig(name, value); r != nil {
		return r
	}
	trimmed := strings.TrimSpace(*value)
	s[name] = &trimmed
	return nil
}

func (c topicRequests) checkCreatePartitions(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.CreatePartitionsRequest)
	rejections := make([]*rejection, len(req.Topics))
	refuse := false
	for i, t := range req.Topics {
		has := len(c.PartitionInfos(t.Topic))
		switch {
		case has == 0: // kfake says so
		case int(t.Count) == has:
			rejections[i] = rejectf(kerr.InvalidPartitions, "topic %s has %d partitions already", t.Topic, has)
		case int(t.Count) < has:
			rejections[i] = rejectf(kerr.InvalidPartitions, "topic %s has %d partitions, which cannot become fewer", t.Topic, has)
		case int(t.Count)-has > maxPartitionsPerRequest:
			rejections[i] = rejectf(kerr.InvalidPartitions, "more than %d new partitions in one request", maxPartitionsPerRequest)
		}
		for _, a := range t.Assignment {
			rejections[i] = firstOf(rejections[i], checkReplicas(a.Replicas))
		}
		refuse = refuse || rejections[i] != nil
	}
	if !refuse {
		return nil
	}
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	for i, t := range req.Topics {
		rejected := firstOf(rejections[i], beside)
		answer := kmsg.NewCreatePartitionsResponseTopic()
		answer.Topic = t.Topic
		answer.ErrorCode = rejected.code.Code
		answer.ErrorMessage = &rejected.message
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

// brokerID is what kfake calls its first broker.
const brokerID = 0

// checkReplicas refuses to put a partition on brokers that are not there.
func checkReplicas(on []int32) *rejection {
	if !slices.Equal(on, []int32{brokerID}) {
		return rejectf(kerr.InvalidReplicaAssignment, "replicas on brokers %v: this cluster has one broker, %d", on, brokerID)
	}
	return nil
}

// checkAssignments: a partition has nowhere to move to.
func (topicRequests) checkAssignments(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.AlterPartitionAssignmentsRequest)
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	refuse := false
	for _, t := range req.Topics {
		topic := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			var rejected *rejection
			if p.Replicas != nil { // null: a move shall end
				rejected = checkReplicas(p.Replicas)
			}
			refuse = refuse || rejected != nil
			rejected = firstOf(rejected, beside)
			answer := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			answer.Partition = p.Partition
			answer.ErrorCode = rejected.code.Code
			answer.ErrorMessage = &rejected.message
			topic.Partitions = append(topic.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	if !refuse {
		return nil
	}
	return resp
}

// checkBrokerConfig refuses what kfake would take and not apply.
func checkBrokerConfig(name string) *rejection {
	if slices.Contains(brokerDefaults, name) {
		return rejectf(kerr.InvalidConfig, "broker setting %s: the embedded broker does not apply it: set it on topics, or use Apache Kafka", name)
	}
	return nil
}

// checkAlterConfigs: the request replaces all settings of a topic.
func (topicRequests) checkAlterConfigs(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.AlterConfigsRequest)
	rejections := make([]*rejection, len(req.Resources))
	refuse := false
	for i := range req.Resources {
		rejections[i] = replaceSettings(&req.Resources[i])
		refuse = refuse || rejections[i] != nil
	}
	if !refuse {
		return nil
	}
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	for i, res := range req.Resources {
		rejected := firstOf(rejections[i], beside)
		answer := kmsg.NewAlterConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = res.ResourceType, res.ResourceName
		answer.ErrorCode = rejected.code.Code
		answer.ErrorMessage = &rejected.message
		resp.Resources = append(resp.Resources, answer)
	}
	return resp
}

func replaceSettings(res *kmsg.AlterConfigsRequestResource) *rejection {
	s := settings{}
	for _, c := range res.Configs {
		var r *rejection
		switch res.ResourceType {
		case kmsg.ConfigResourceTypeTopic:
			r = s.set(c.Name, c.Value)
		case kmsg.ConfigResourceTypeBroker:
			r = checkBrokerConfig(c.Name)
		}
		if r != nil {
			return r
		}
	}
	if res.ResourceType != kmsg.ConfigResourceTypeTopic {
		return nil
	}
	if r := s.withRetention(); r != nil {
		return r
	}
	res.Configs = nil
	for name, value := range s {
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = name, value
		res.Configs = append(res.Configs, c)
	}
	return nil
}

// checkIncrementalAlterConfigs: the request sets and deletes single settings.
func (c topicRequests) checkIncrementalAlterConfigs(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.IncrementalAlterConfigsRequest)
	rejections := make([]*rejection, len(req.Resources))
	refuse := false
	for i := range req.Resources {
		rejections[i] = c.alterSettings(&req.Resources[i])
		refuse = refuse || rejections[i] != nil
	}
	if !refuse {
		return nil
	}
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	for i, res := range req.Resources {
		rejected := firstOf(rejections[i], beside)
		answer := kmsg.NewIncrementalAlterConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = res.ResourceType, res.ResourceName
		answer.ErrorCode = rejected.code.Code
		answer.ErrorMessage = &rejected.message
		resp.Resources = append(resp.Resources, answer)
	}
	return resp
}

// alterSettings checks what the topic's settings become, and adds the changes
// of its retention that follow. A retention that is deleted goes back to the
// default, and so does that of a topic that was compacted only and is not any
// more.
func (c topicRequests) alterSettings(res *kmsg.IncrementalAlterConfigsRequestResource) *rejection {
	if res.ResourceType == kmsg.ConfigResourceTypeBroker {
		for _, config := range res.Configs {
			if r := checkBrokerConfig(config.Name); r != nil && config.Op != kmsg.IncrementalAlterConfigOpDelete {
				return r
			}
		}
	}
	if res.ResourceType != kmsg.ConfigResourceTypeTopic {
		return nil
	}
	s := settings{}
	if topic := c.TopicInfo(res.ResourceName); topic != nil {
		s = topic.Configs
	}
	wasCompactedOnly := s.compactedOnly()
	var kept []kmsg.IncrementalAlterConfigsRequestResourceConfig
	for _, config := range res.Configs {
		if config.Op == kmsg.IncrementalAlterConfigOpDelete {
			delete(s, config.Name)
			if !slices.Contains(ownSettings, config.Name) {
				kept = append(kept, config)
			}
			continue
		}
		given := config.Value
		if config.Op != kmsg.IncrementalAlterConfigOpSet && config.Name == cleanupPolicy && given != nil {
			list := changedList(s[cleanupPolicy], *given, config.Op == kmsg.IncrementalAlterConfigOpAppend)
			config.Op, given = kmsg.IncrementalAlterConfigOpSet, &list
		}
		if r := firstOf(checkTopicConfig(config.Name, config.Value), s.set(config.Name, given)); r != nil {
			return r
		}
		config.Value = s[config.Name]
		if !slices.Contains(ownSettings, config.Name) {
			kept = append(kept, config)
		}
		wasCompactedOnly = wasCompactedOnly && config.Name != retentionBytes
	}
	if wasCompactedOnly && !s.compactedOnly() {
		delete(s, retentionBytes)
	}
	if r := s.withRetention(); r != nil {
		return r
	}
	for _, name := range ownSettings {
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Op, config.Value = name, kmsg.IncrementalAlterConfigOpSet, s[name]
		kept = append(kept, config)
	}
	res.Configs = kept
	return nil
}

// changedList is a list, by default cleanup.policy's, with items more or less.
func changedList(list *string, items string, more bool) string {
	all := []string{"delete"}
	if list != nil {
		all = strings.Split(*list, ",")
	}
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	for item := range strings.SplitSeq(items, ",") {
		item = strings.TrimSpace(item)
		all = slices.DeleteFunc(all, func(have string) bool { return have == item })
		if more {
			all = append(all, item)
		}
	}
	return strings.Join(all, ",")
}
