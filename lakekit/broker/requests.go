package broker

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every topic gets its own retention, because kfake applies none to a topic
// without. Records do not expire by age, so that a topic is still full after
// the holidays; a partition is cut at 2 GiB, some 20 million taxi records.
const (
	retentionMillis = "retention.ms"
	retentionBytes  = "retention.bytes"
)

var defaultRetention = map[string]string{
	retentionMillis: "-1",
	retentionBytes:  "2147483648",
}

// maxPartitionsPerRequest is Kafka's ReplicationControlManager bound.
const maxPartitionsPerRequest = 10_000

// checkTopicRequests makes the cluster refuse bad topics and settings, and
// put retention on topics whose creator did not, whatever client asks.
func checkTopicRequests(c *kfake.Cluster) {
	for key, check := range map[kmsg.Key]func(kmsg.Request) kmsg.Response{
		kmsg.CreateTopics:            checkCreateTopics,
		kmsg.AlterConfigs:            checkAlterConfigs,
		kmsg.IncrementalAlterConfigs: checkIncrementalAlterConfigs,
	} {
		c.ControlKey(key.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			refusal := check(r)
			return refusal, nil, refusal != nil
		})
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

func checkCreateTopics(r kmsg.Request) kmsg.Response {
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
		withRetention(t)
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
	for _, c := range t.Configs {
		if r := checkTopicConfig(c.Name, c.Value); r != nil {
			return r
		}
	}
	return nil
}

func withRetention(t *kmsg.CreateTopicsRequestTopic) {
	set := map[string]bool{}
	for _, c := range t.Configs {
		set[c.Name] = true
	}
	for name, value := range defaultRetention {
		if !set[name] {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = name, &value
			t.Configs = append(t.Configs, c)
		}
	}
}

// checkAlterConfigs: the request replaces all settings of a topic.
func checkAlterConfigs(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.AlterConfigsRequest)
	rejections := make([]*rejection, len(req.Resources))
	refuse := false
	for i := range req.Resources {
		res := &req.Resources[i]
		if res.ResourceType != kmsg.ConfigResourceTypeTopic {
			continue
		}
		set := map[string]bool{}
		for _, c := range res.Configs {
			set[c.Name] = true
			rejections[i] = firstOf(rejections[i], checkTopicConfig(c.Name, c.Value))
		}
		for name, value := range defaultRetention {
			if !set[name] {
				c := kmsg.NewAlterConfigsRequestResourceConfig()
				c.Name, c.Value = name, &value
				res.Configs = append(res.Configs, c)
			}
		}
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

// checkIncrementalAlterConfigs: the request sets and deletes single settings.
// A deleted retention goes back to the default.
func checkIncrementalAlterConfigs(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.IncrementalAlterConfigsRequest)
	rejections := make([]*rejection, len(req.Resources))
	refuse := false
	for i := range req.Resources {
		res := &req.Resources[i]
		if res.ResourceType != kmsg.ConfigResourceTypeTopic {
			continue
		}
		for j := range res.Configs {
			c := &res.Configs[j]
			if c.Op == kmsg.IncrementalAlterConfigOpDelete {
				if value, ok := defaultRetention[c.Name]; ok {
					c.Op, c.Value = kmsg.IncrementalAlterConfigOpSet, &value
				}
				continue
			}
			rejections[i] = firstOf(rejections[i], checkTopicConfig(c.Name, c.Value))
		}
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
