package broker

import (
	"encoding/binary"
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// amend returns kfake's answer to a request, or what Kafka answers where that is
// something else and clients act on it.
func (l *listener) amend(h *heldRequest, answer []byte) []byte {
	if h == nil {
		return answer
	}
	var amend func(kmsg.Response)
	switch kmsg.Key(h.key) {
	case kmsg.OffsetFetch:
		amend = h.offsetsOfUnknownGroups
	case kmsg.ConsumerGroupDescribe:
		amend = l.nameAssignedTopics
	case kmsg.LeaveGroup:
		amend = h.nameLeavers
	case kmsg.ListGroups:
		amend = nameGroupTypes
	case kmsg.CreateTopics:
		amend = nameSources
	case kmsg.ElectLeaders:
		amend = electNobody
	case kmsg.DescribeLogDirs:
		amend = l.describeDisk
	default:
		return answer
	}
	resp := kmsg.ResponseForKey(h.key)
	resp.SetVersion(h.version)
	head := 4 + 4 // length, correlation id
	if resp.IsFlexible() {
		head++ // no tags
	}
	if len(answer) < head || resp.ReadFrom(answer[head:]) != nil {
		return answer
	}
	amend(resp)
	amended := resp.AppendTo(append([]byte(nil), answer[:head]...))
	binary.BigEndian.PutUint32(amended, uint32(len(amended)-4))
	return amended
}

// read is whether the request that is answered is there, and then reads it.
func (h *heldRequest) read(req kmsg.Request) bool {
	req.SetVersion(h.version)
	return h.body != nil && req.ReadFrom(h.body) == nil
}

// offsetsOfUnknownGroups: a group that nobody has joined yet has committed
// nothing; to Kafka that is no error.
func (h *heldRequest) offsetsOfUnknownGroups(r kmsg.Response) {
	resp := r.(*kmsg.OffsetFetchResponse)
	var req kmsg.OffsetFetchRequest
	if !h.read(&req) {
		return
	}
	if resp.ErrorCode == kerr.GroupIDNotFound.Code { // of versions with one group
		resp.ErrorCode = 0
		for _, t := range req.Topics {
			topic := kmsg.NewOffsetFetchResponseTopic()
			topic.Topic = t.Topic
			for _, p := range t.Partitions {
				partition := kmsg.NewOffsetFetchResponseTopicPartition()
				partition.Partition, partition.Offset, partition.LeaderEpoch, partition.Metadata = p, -1, -1, new(string)
				topic.Partitions = append(topic.Partitions, partition)
			}
			resp.Topics = append(resp.Topics, topic)
		}
	}
	for i := range resp.Groups {
		group := &resp.Groups[i]
		if group.ErrorCode != kerr.GroupIDNotFound.Code || i >= len(req.Groups) {
			continue
		}
		group.ErrorCode = 0
		for _, t := range req.Groups[i].Topics {
			topic := kmsg.NewOffsetFetchResponseGroupTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				partition := kmsg.NewOffsetFetchResponseGroupTopicPartition()
				partition.Partition, partition.Offset, partition.LeaderEpoch, partition.Metadata = p, -1, -1, new(string)
				topic.Partitions = append(topic.Partitions, partition)
			}
			group.Topics = append(group.Topics, topic)
		}
	}
}

// nameAssignedTopics: kfake gives ids only.
func (l *listener) nameAssignedTopics(r kmsg.Response) {
	cluster := l.cluster.Load()
	if cluster == nil {
		return
	}
	names := map[[16]byte]string{}
	name := func(a kmsg.Assignment) {
		for i := range a.TopicPartitions {
			at := &a.TopicPartitions[i]
			if _, asked := names[at.TopicID]; !asked {
				names[at.TopicID] = ""
				if info := cluster.TopicIDInfo(at.TopicID); info != nil {
					names[at.TopicID] = info.Topic
				}
			}
			at.Topic = names[at.TopicID]
		}
	}
	for _, group := range r.(*kmsg.ConsumerGroupDescribeResponse).Groups {
		for _, member := range group.Members {
			name(member.Assignment)
			name(member.TargetAssignment)
		}
	}
}

// nameLeavers: a member that was named by its instance is answered by it only,
// else Java's AdminClient does not find it in the answer.
func (h *heldRequest) nameLeavers(r kmsg.Response) {
	resp := r.(*kmsg.LeaveGroupResponse)
	var req kmsg.LeaveGroupRequest
	if !h.read(&req) || len(req.Members) != len(resp.Members) {
		return
	}
	for i := range resp.Members {
		resp.Members[i].MemberID = req.Members[i].MemberID
	}
}

// nameGroupTypes spells the types of groups as Kafka does.
func nameGroupTypes(r kmsg.Response) {
	groups := r.(*kmsg.ListGroupsResponse).Groups
	for i := range groups {
		if t := groups[i].GroupType; t != "" {
			groups[i].GroupType = strings.ToUpper(t[:1]) + t[1:]
		}
	}
}

// nameSources says that the settings with which topics are made are theirs:
// without a source kafka-python cannot read the answer.
func nameSources(r kmsg.Response) {
	topics := r.(*kmsg.CreateTopicsResponse).Topics
	for i := range topics {
		for j := range topics[i].Configs {
			topics[i].Configs[j].Source = int8(kmsg.ConfigSourceDynamicTopicConfig)
		}
	}
}

// electNobody: every partition has its leader, the one broker.
func electNobody(r kmsg.Response) {
	topics := r.(*kmsg.ElectLeadersResponse).Topics
	for i := range topics {
		for j := range topics[i].Partitions {
			if p := &topics[i].Partitions[j]; p.ErrorCode == 0 {
				p.ErrorCode = kerr.ElectionNotNeeded.Code
				p.ErrorMessage = kmsg.StringPtr("Leader election not needed for topic partition.")
			}
		}
	}
}

// describeDisk tells of the folder and its disk; kfake makes both up.
func (l *listener) describeDisk(r kmsg.Response) {
	resp := r.(*kmsg.DescribeLogDirsResponse)
	if resp.ErrorCode != 0 {
		return
	}
	if len(resp.Dirs) == 0 { // none of the topics that were asked for is here
		resp.Dirs = append(resp.Dirs, kmsg.NewDescribeLogDirsResponseDir())
	}
	total, free, err := diskSpace(l.dir)
	if err != nil {
		slog.Error("broker: look at the disk", "error", err)
		total, free = -1, -1 // not known
	}
	for i := range resp.Dirs {
		resp.Dirs[i].Dir, resp.Dirs[i].TotalBytes, resp.Dirs[i].UsableBytes = l.dir, total, free
	}
}
