package broker

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// control has every request of a kind go through answer before kfake carries
// it out: a response or an error, which ends the connection, is what the client
// gets instead. One function for a key, as each registers itself anew: kfake
// keeps the last request of every connection that a control function has ever
// seen, as long as the function is there.
func control(c *kfake.Cluster, key kmsg.Key, answer func(kmsg.Request) (kmsg.Response, error)) {
	c.ControlKey(key.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.DropControl()
		control(c, key, answer)
		response, err := answer(r)
		return response, err, response != nil || err != nil
	})
}

// A produceCheck returns nil for a request that the next check, and kfake, get.
type produceCheck func(*kmsg.ProduceRequest) (kmsg.Response, error)

// checkProduce lets the checks go through every Produce request, in order.
func checkProduce(c *kfake.Cluster, checks ...produceCheck) {
	control(c, kmsg.Produce, func(r kmsg.Request) (kmsg.Response, error) {
		for _, check := range checks {
			if response, err := check(r.(*kmsg.ProduceRequest)); response != nil || err != nil {
				return response, err
			}
		}
		return nil, nil
	})
}

// nameUnknownTopics gives topics whose ids nobody has names of their own: kfake
// keeps the answers of partitions by the topic's name, and ends when two topics,
// such as two that were deleted under a producer, have none.
func nameUnknownTopics(c *kfake.Cluster) produceCheck {
	return func(req *kmsg.ProduceRequest) (kmsg.Response, error) {
		for i := range req.Topics {
			if t := &req.Topics[i]; t.Topic == "" && c.TopicIDInfo(t.TopicID) == nil {
				t.Topic = hex.EncodeToString(t.TopicID[:])
			}
		}
		return nil, nil
	}
}

// dropRepeatedProtocols takes protocols out of JoinGroup that are there already:
// kfake counts names for members, and ends when the sum is wrong.
func dropRepeatedProtocols(c *kfake.Cluster) {
	control(c, kmsg.JoinGroup, func(r kmsg.Request) (kmsg.Response, error) {
		req := r.(*kmsg.JoinGroupRequest)
		names := map[string]bool{}
		req.Protocols = slices.DeleteFunc(req.Protocols, func(p kmsg.JoinGroupRequestProtocol) bool {
			again := names[p.Name]
			names[p.Name] = true
			return again
		})
		return nil, nil
	})
}

// groupStates are those by which groups can be listed.
var groupStates = []string{
	"Empty", "Assigning", "Reconciling", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead",
}

// foldGroupFilters has groups listed by types and states in any letters, as in
// Kafka: Java asks for types as Classic, kfake compares with classic.
func foldGroupFilters(c *kfake.Cluster) {
	control(c, kmsg.ListGroups, func(r kmsg.Request) (kmsg.Response, error) {
		req := r.(*kmsg.ListGroupsRequest)
		for i, t := range req.TypesFilter {
			req.TypesFilter[i] = strings.ToLower(t)
		}
		for i, filter := range req.StatesFilter {
			for _, state := range groupStates {
				if strings.EqualFold(state, filter) {
					req.StatesFilter[i] = state
				}
			}
		}
		return nil, nil
	})
}

// checkPatterns refuses a regular expression for topics that is none, as Kafka
// does: kfake puts it into parentheses first, and takes "a)(b".
func checkPatterns(c *kfake.Cluster) {
	control(c, kmsg.ConsumerGroupHeartbeat, func(r kmsg.Request) (kmsg.Response, error) {
		pattern := r.(*kmsg.ConsumerGroupHeartbeatRequest).SubscribedTopicRegex
		if pattern == nil {
			return nil, nil
		}
		_, err := regexp.Compile(*pattern)
		if err == nil {
			return nil, nil
		}
		message := fmt.Sprintf("SubscribedTopicRegex %q is not a valid regular expression: %v", *pattern, err)
		resp := r.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
		resp.ErrorCode, resp.ErrorMessage = kerr.InvalidRegularExpression.Code, &message
		return resp, nil
	})
}
