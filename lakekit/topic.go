package lakekit

import (
	"net/url"
	"strconv"

	"taxilake/lakekit/api"
)

// TopicOptions describe a topic to create; the zero value is the course's:
// nyc_taxi_data with 3 partitions, or with those it has.
type TopicOptions = api.TopicRequest

// Topic is what Kafka knows of a topic.
type Topic = api.TopicInfo

// Cluster is what Kafka knows of itself.
type Cluster = api.ClusterInfo

// Messages are messages of a topic.
type Messages []api.Message

// Cluster describes the brokers.
func (w *Workshop) Cluster() (Cluster, error) {
	var c Cluster
	return c, w.get("/api/cluster", nil, &c)
}

// CreateTopic creates a topic, or describes the one that is there if it has as
// many partitions as asked for.
func (w *Workshop) CreateTopic(options TopicOptions) (Topic, error) {
	var t Topic
	return t, w.post("/api/topics", options, &t)
}

// Topics describes all topics.
func (w *Workshop) Topics() ([]Topic, error) {
	var list []Topic
	return list, w.get("/api/topics", nil, &list)
}

// Topic describes one topic; "" is the course's.
func (w *Workshop) Topic(name string) (Topic, error) {
	var t Topic
	return t, w.get("/api/topics/"+url.PathEscape(w.topicName(name)), nil, &t)
}

func (w *Workshop) topicName(name string) string {
	if name == "" {
		return w.settings.Topic
	}
	return name
}

// BrowseOptions choose messages of a topic.
type BrowseOptions struct {
	Topic     string // "": the course's
	Partition *int   // nil: all
	Offset    int64  // first offset in each partition; -1: the last ones
	Limit     int    // 0: 10
}

// Browse reads messages without a consumer group: nobody else's place moves.
func (w *Workshop) Browse(options BrowseOptions) (Messages, error) {
	query := url.Values{"offset": {strconv.FormatInt(options.Offset, 10)}}
	if options.Partition != nil {
		query.Set("partition", strconv.Itoa(*options.Partition))
	}
	if options.Limit != 0 {
		query.Set("limit", strconv.Itoa(options.Limit))
	}
	var list Messages
	return list, w.get("/api/topics/"+url.PathEscape(w.topicName(options.Topic))+"/messages", query, &list)
}

// Send sends single messages, each a text of its own, to the course's topic.
func (w *Workshop) Send(values ...string) (api.TrafficProgress, error) {
	var p api.TrafficProgress
	return p, w.post("/api/messages", api.MessagesRequest{Values: values}, &p)
}
