package kafka_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"taxilake/lakekit/broker"
	"taxilake/lakekit/broker/brokertest"
	"taxilake/lakekit/kafka"
)

// lines are a Source of records without a key.
type lines []string

func (l *lines) Next() (key, value []byte, err error) {
	if len(*l) == 0 {
		return nil, nil, io.EOF
	}
	value = []byte((*l)[0])
	*l = (*l)[1:]
	return nil, value, nil
}

// A topic is created, three records are sent, and the last two looked at.
func Example() {
	ctx := context.Background()
	servers, stop, err := brokertest.Start(broker.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	config := kafka.Config{"bootstrap.servers": servers}

	admin, err := kafka.NewAdmin(config)
	if err != nil {
		log.Fatal(err)
	}
	defer admin.Close()
	topic, err := admin.CreateTopic(ctx, kafka.TopicSpec{
		Name:       "trips",
		Partitions: 1,
		Configs:    map[string]string{"retention.ms": "3600000"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("topic", topic.Name, "partitions", len(topic.Partitions))

	fares := lines{`{"fare_amount":4.5}`, `{"fare_amount":16.9}`, `{"fare_amount":5.7}`}
	account, err := kafka.Produce(ctx, config, &fares, kafka.ProduceOptions{Topic: topic.Name})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("sent", account.Sent, "acknowledged", account.Acknowledged)

	messages, err := kafka.Browse(ctx, config, topic.Name, kafka.BrowseOptions{
		Partition: kafka.AllPartitions,
		Offset:    kafka.Latest,
		Limit:     2,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range messages {
		fmt.Printf("%d/%d %s\n", m.Partition, m.Offset, m.Value)
	}
	// Output:
	// topic trips partitions 1
	// sent 3 acknowledged 3
	// 0/1 {"fare_amount":16.9}
	// 0/2 {"fare_amount":5.7}
}
