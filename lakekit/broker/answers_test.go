package broker_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// exchange sends a request in a version as it is: kgo asks otherwise for the same.
func exchange[R kmsg.Response](t *testing.T, addr string, req kmsg.Request, version int16) R {
	t.Helper()
	c := connect(t, addr, wire(req, version))
	defer c.Close()
	length := make([]byte, 4)
	if _, err := io.ReadFull(c, length); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(length))
	if _, err := io.ReadFull(c, frame); err != nil {
		t.Fatal(err)
	}
	resp := req.ResponseKind()
	head := 4 // correlation id
	if resp.IsFlexible() {
		head++ // no tags
	}
	if err := resp.ReadFrom(frame[head:]); err != nil {
		t.Fatal(err)
	}
	return resp.(R)
}

// A consumer asks where its group has been before the group is there.
func TestOffsetsOfUnknownGroups(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	created := mustCreate(t, client(t, addr), newTopic("t"))
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group = "known"
	of := kmsg.NewOffsetCommitRequestTopicPartition()
	of.Offset = 7
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{of}}}
	if resp := exchange[*kmsg.OffsetCommitResponse](t, addr, commit, 8); resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode))
	}
	for version := int16(2); version <= 10; version++ { // answers have an error code from v2 on
		for _, all := range []bool{false, true} {
			t.Run(fmt.Sprintf("v%d all=%v", version, all), func(t *testing.T) {
				req := kmsg.NewPtrOffsetFetchRequest()
				req.Group = "unknown"
				if !all {
					req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}}
				}
				groups := []string{"unknown", "known", "unknown too"}
				if version < 8 {
					groups = nil
				}
				for _, name := range groups {
					group := kmsg.NewOffsetFetchRequestGroup()
					group.Group = name
					if !all {
						group.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", TopicID: created.TopicID, Partitions: []int32{0, 1}}}
					}
					req.Groups = append(req.Groups, group)
				}
				resp := exchange[*kmsg.OffsetFetchResponse](t, addr, req, version)
				got := map[string][]int64{}
				if version < 8 {
					if resp.ErrorCode != 0 {
						t.Errorf("answer %v", kerr.ErrorForCode(resp.ErrorCode))
					}
					for _, topic := range resp.Topics {
						for _, p := range topic.Partitions {
							got["unknown"] = append(got["unknown"], p.Offset)
						}
					}
				}
				for _, group := range resp.Groups {
					if group.ErrorCode != 0 {
						t.Errorf("answer for %s is %v", group.Group, kerr.ErrorForCode(group.ErrorCode))
					}
					for _, topic := range group.Topics {
						if version < 10 && topic.Topic != "t" || version >= 10 && topic.TopicID != created.TopicID {
							t.Errorf("topic %q, %x", topic.Topic, topic.TopicID)
						}
						for _, p := range topic.Partitions {
							if p.ErrorCode != 0 {
								t.Error(kerr.ErrorForCode(p.ErrorCode))
							}
							got[group.Group] = append(got[group.Group], p.Offset)
						}
					}
				}
				want := map[string][]int64{}
				if !all {
					want["unknown"] = []int64{-1, -1}
				}
				if version >= 8 {
					want["known"] = []int64{7}
					if !all {
						want["known"], want["unknown too"] = []int64{7, -1}, []int64{-1, -1}
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("offsets %v, want %v", got, want)
				}
			})
		}
	}
}

func TestCreatedTopicsTellTheirSettings(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	answer := mustCreate(t, client(t, addr), newTopic("t", "retention.ms=1000"))
	if len(answer.Configs) == 0 {
		t.Error("no settings")
	}
	for _, c := range answer.Configs {
		if kmsg.ConfigSource(c.Source) != kmsg.ConfigSourceDynamicTopicConfig {
			t.Errorf("%s has source %d", c.Name, c.Source)
		}
	}
}

// A setting of a topic has the topic's name for it, also where it is the
// broker's: clients that replace all settings send back what they were told.
func TestSettingsOfTopicsCanBeSentBack(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	c := client(t, addr)
	mustCreate(t, c, newTopic("t", "max.message.bytes=2000"))
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = append(req.Resources, resource)
	var set []string
	for _, c := range exchange[*kmsg.DescribeConfigsResponse](t, addr, req, 4).Resources[0].Configs {
		if kmsg.ConfigSource(c.Source) != kmsg.ConfigSourceDefaultConfig {
			set = append(set, c.Name+"="+*c.Value)
		}
	}
	if err := alterAll(t, c, "t", set...); err != nil {
		t.Errorf("%v: %v", set, err)
	}
}

// There is one broker, to which a partition cannot move, nor a leader.
func TestPartitionsStayWhereTheyAre(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	mustCreate(t, client(t, addr), newTopic("t"))
	for _, test := range []struct {
		replicas []int32
		want     *kerr.Error
	}{
		{[]int32{0}, nil},
		{nil, kerr.NoReassignmentInProgress},
		{[]int32{}, kerr.InvalidReplicaAssignment},
		{[]int32{99}, kerr.InvalidReplicaAssignment},
		{[]int32{0, 1}, kerr.InvalidReplicaAssignment},
	} {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Replicas: test.replicas}}}}
		code := exchange[*kmsg.AlterPartitionAssignmentsResponse](t, addr, req, 1).Topics[0].Partitions[0].ErrorCode
		if got := kerr.TypedErrorForCode(code); got != test.want {
			t.Errorf("to %v: %v, want %v", test.replicas, got, test.want)
		}
	}
	more := kmsg.NewPtrCreatePartitionsRequest()
	more.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 2, Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{99}}}}}
	if got := kerr.TypedErrorForCode(exchange[*kmsg.CreatePartitionsResponse](t, addr, more, 3).Topics[0].ErrorCode); got != kerr.InvalidReplicaAssignment {
		t.Errorf("a partition more on broker 99: %v", got)
	}
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0, 5}}}
	var got []*kerr.Error
	for _, p := range exchange[*kmsg.ElectLeadersResponse](t, addr, elect, 2).Topics[0].Partitions {
		got = append(got, kerr.TypedErrorForCode(p.ErrorCode))
	}
	if want := []*kerr.Error{kerr.ElectionNotNeeded, kerr.UnknownTopicOrPartition}; !slices.Equal(got, want) {
		t.Errorf("elections: %v, want %v", got, want)
	}
}

func TestLogDirs(t *testing.T) {
	dir := t.TempDir()
	addr, _ := serve(t, dir)
	mustCreate(t, client(t, addr), newTopic("t"))
	for _, topic := range []string{"t", "none"} {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: topic, Partitions: []int32{0}}}
		dirs := exchange[*kmsg.DescribeLogDirsResponse](t, addr, req, 4).Dirs
		if len(dirs) != 1 || dirs[0].Dir != dir || dirs[0].TotalBytes <= dirs[0].UsableBytes || dirs[0].UsableBytes <= 0 {
			t.Errorf("of topic %s: %+v", topic, dirs)
		} else if got, want := len(dirs[0].Topics) == 1, topic == "t"; got != want {
			t.Errorf("of topic %s: %+v", topic, dirs[0].Topics)
		}
	}
}

// A transactional id has one producer. Whoever had the id before can end nothing
// any more, neither a transaction of its own nor one of its successor.
func TestSuccessorsFence(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	mustCreate(t, client(t, addr), newTopic("t"))
	for _, open := range []bool{false, true} {
		for _, commit := range []bool{false, true} {
			for version := int16(3); version <= 5; version++ {
				id := fmt.Sprintf("open=%v commit=%v v%d", open, commit, version)
				t.Run(id, func(t *testing.T) {
					start := func() *kmsg.InitProducerIDResponse {
						req := kmsg.NewPtrInitProducerIDRequest()
						req.TransactionalID, req.TransactionTimeoutMillis = &id, 60_000
						resp := exchange[*kmsg.InitProducerIDResponse](t, addr, req, 4)
						if resp.ErrorCode != 0 {
							t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
						}
						return resp
					}
					end := func(of *kmsg.InitProducerIDResponse) error {
						req := kmsg.NewPtrEndTxnRequest()
						req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = id, of.ProducerID, of.ProducerEpoch, commit
						return kerr.ErrorForCode(exchange[*kmsg.EndTxnResponse](t, addr, req, version).ErrorCode)
					}
					begin := func(of *kmsg.InitProducerIDResponse) {
						req := kmsg.NewPtrAddPartitionsToTxnRequest()
						req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, of.ProducerID, of.ProducerEpoch
						req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}
						if code := exchange[*kmsg.AddPartitionsToTxnResponse](t, addr, req, 3).Topics[0].Partitions[0].ErrorCode; code != 0 {
							t.Fatal(kerr.ErrorForCode(code))
						}
					}
					old := start()
					if open {
						begin(old)
					}
					successor := start()
					if err := end(old); err != kerr.ProducerFenced {
						t.Errorf("the old producer's end of a transaction: %v, want %v", err, kerr.ProducerFenced)
					}
					begin(successor)
					if err := end(old); err != kerr.ProducerFenced {
						t.Errorf("the old producer ends the transaction of its successor: %v, want %v", err, kerr.ProducerFenced)
					}
					if err := end(successor); err != nil {
						t.Errorf("the successor's: %v", err)
					}
				})
			}
		}
	}
}

// Requests of one connection are answered in their order, each once.
func TestProducersBeginAmongOtherRequests(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	var sent []byte
	for n := range int32(6) {
		var req kmsg.Request = kmsg.NewPtrMetadataRequest()
		if n%3 != 2 {
			begin := kmsg.NewPtrInitProducerIDRequest()
			begin.TransactionTimeoutMillis = 60_000
			if n%3 == 0 {
				begin.TransactionalID = kmsg.StringPtr("id")
			}
			req = begin
		}
		req.SetVersion(3)
		sent = append(sent, kmsg.NewRequestFormatter().AppendRequest(nil, req, n)...)
	}
	c := connect(t, addr, sent)
	for n := range uint32(6) {
		head := make([]byte, 8)
		if _, err := io.ReadFull(c, head); err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint32(head[4:]); got != n {
			t.Fatalf("the answer to %d instead of %d", got, n)
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head))-4); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGroupsAreListedByTypeAndState(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	created := mustCreate(t, client(t, addr), newTopic("t"))
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Topics = "g", []kmsg.OffsetCommitRequestTopic{{Topic: "t", TopicID: created.TopicID, Partitions: []kmsg.OffsetCommitRequestTopicPartition{kmsg.NewOffsetCommitRequestTopicPartition()}}}
	exchange[*kmsg.OffsetCommitResponse](t, addr, commit, 8)
	for _, test := range []struct {
		types, states []string
		want          int
	}{
		{nil, nil, 1},
		{[]string{"Classic"}, nil, 1},
		{[]string{"classic", "Share"}, []string{"EMPTY"}, 1},
		{nil, []string{"Empty", "none"}, 1},
		{[]string{"Consumer"}, nil, 0},
		{nil, []string{"Stable"}, 0},
	} {
		req := kmsg.NewPtrListGroupsRequest()
		req.TypesFilter, req.StatesFilter = test.types, test.states
		groups := exchange[*kmsg.ListGroupsResponse](t, addr, req, 5).Groups
		if len(groups) != test.want {
			t.Errorf("types %v, states %v: %+v", test.types, test.states, groups)
		}
		for _, g := range groups {
			if g.GroupType != "Classic" || g.GroupState != "Empty" {
				t.Errorf("%+v", g)
			}
		}
	}
}

// A member of a group by the newer protocol may subscribe by a regular
// expression, which means whole names, and is described with its topics' names.
func TestConsumersSubscribeByPattern(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	c := client(t, addr)
	for _, name := range []string{"trips", "trips-too", "my-trips", "traps"} {
		mustCreate(t, c, newTopic(name))
	}
	for pattern, want := range map[string][]string{
		"tr[ia]ps":     {"traps", "trips"},
		"trips|traps":  {"traps", "trips"},
		"trips.*":      {"trips", "trips-too"},
		".*":           {"my-trips", "traps", "trips", "trips-too"},
		"^trips$":      {"trips"},
		"trip":         nil,
		"tr)ips|(trap": {"INVALID_REGULAR_EXPRESSION"},
		"[":            {"INVALID_REGULAR_EXPRESSION"},
	} {
		t.Run(pattern, func(t *testing.T) {
			beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			beat.Group, beat.MemberID, beat.RebalanceTimeoutMillis = pattern, "m", 60_000
			beat.SubscribedTopicRegex, beat.Topics = &pattern, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			resp := exchange[*kmsg.ConsumerGroupHeartbeatResponse](t, addr, beat, 1)
			var got []string
			if resp.ErrorCode != 0 {
				got = []string{kerr.TypedErrorForCode(resp.ErrorCode).Message}
			}
			describe := kmsg.NewPtrConsumerGroupDescribeRequest()
			describe.Groups = []string{pattern}
			for _, m := range exchange[*kmsg.ConsumerGroupDescribeResponse](t, addr, describe, 1).Groups[0].Members {
				for _, at := range m.TargetAssignment.TopicPartitions {
					got = append(got, at.Topic)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("topics %q, want %q (%v)", got, want, kerr.ErrorForCode(resp.ErrorCode))
			}
		})
	}
}

// Java's AdminClient looks for the member it took out, by the name it gave.
func TestMembersLeaveByTheirInstance(t *testing.T) {
	addr, _ := serve(t, t.TempDir())
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.InstanceID = "g", "consumer", kmsg.StringPtr("one")
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.Protocols = 45_000, 45_000, append(join.Protocols, protocol)
	member := exchange[*kmsg.JoinGroupResponse](t, addr, join, 9).MemberID
	for _, id := range []string{"", member} {
		leave := kmsg.NewPtrLeaveGroupRequest()
		leave.Group, leave.Members = "g", []kmsg.LeaveGroupRequestMember{{MemberID: id, InstanceID: kmsg.StringPtr("one")}}
		resp := exchange[*kmsg.LeaveGroupResponse](t, addr, leave, 5)
		if len(resp.Members) != 1 || resp.Members[0].MemberID != id || *resp.Members[0].InstanceID != "one" {
			t.Errorf("asked as %q: %+v", id, resp.Members)
		}
	}
}
