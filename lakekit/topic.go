package lakekit

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"

	"taxilake/lakekit/api"
)

// TopicOptions describe a topic to create; the zero value is the course's:
// nyc_taxi_data with 3 partitions, or with those it has.
type TopicOptions struct {
	Name       string            `json:"name"`
	Partitions int               `json:"partitions" range:"1..1000"`
	Configs    map[string]string `json:"configs,omitempty"` // Kafka's topic configurations
}

// Cluster describes the brokers.
func (w *Workshop) Cluster() (api.ClusterInfo, error) {
	var c api.ClusterInfo
	return c, w.get("/api/cluster", nil, &c)
}

// CreateTopic creates a topic, or describes the one that is there if it has as
// many partitions as asked for.
func (w *Workshop) CreateTopic(options TopicOptions) (api.TopicInfo, error) {
	var t api.TopicInfo
	return t, w.post("/api/topics", options, &t)
}

// Topics describes all topics.
func (w *Workshop) Topics() (api.Topics, error) {
	var list api.Topics
	return list, w.get("/api/topics", nil, &list)
}

// Topic describes the topic with a name; without one, the course's.
func (w *Workshop) Topic(name ...string) (api.TopicInfo, error) {
	var t api.TopicInfo
	topic, err := theOne("topic", name, w.settings.Topic)
	if err != nil {
		return t, err
	}
	return t, w.get("/api/topics/"+url.PathEscape(topic), nil, &t)
}

// theOne is the one thing that a call names, or without a name the course's.
func theOne(what string, names []string, otherwise string) (string, error) {
	switch {
	case len(names) == 0:
		return otherwise, nil
	case len(names) > 1 || names[0] == "":
		return "", fmt.Errorf("a call for a %s takes its name, or no name for the course's, and not %q", what, names)
	}
	return names[0], nil
}

// BrowseOptions choose messages of a topic.
type BrowseOptions struct {
	Topic     string // default: the course's
	Partition *int   // default: all
	Offset    int64  // first offset in each partition, or [Latest]
	Limit     int    // most messages; default: 10
}

// Latest is the offset to browse the newest messages from.
const Latest int64 = -1

// Browse reads messages without a consumer group: nobody else's place moves.
func (w *Workshop) Browse(options BrowseOptions) (api.Messages, error) {
	query := url.Values{"offset": {strconv.FormatInt(options.Offset, 10)}}
	if options.Partition != nil {
		query.Set("partition", strconv.Itoa(*options.Partition))
	}
	if options.Limit != 0 {
		query.Set("limit", strconv.Itoa(options.Limit))
	}
	var list api.Messages
	return list, w.get("/api/topics/"+url.PathEscape(cmp.Or(options.Topic, w.settings.Topic))+"/messages", query, &list)
}

// Send sends single messages, each a text of its own, to the course's topic.
func (w *Workshop) Send(values ...string) (api.TrafficProgress, error) {
	var p api.TrafficProgress
	return p, w.post("/api/messages", api.MessagesRequest{Values: values}, &p)
}
