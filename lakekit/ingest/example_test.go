package ingest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/broker"
	"taxilake/lakekit/broker/brokertest"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/ingest"
	"taxilake/lakekit/kafka"
)

// lines are a kafka.Source of records without a key.
type lines []string

func (l *lines) Next() (key, value []byte, err error) {
	if len(*l) == 0 {
		return nil, nil, io.EOF
	}
	value = []byte((*l)[0])
	*l = (*l)[1:]
	return nil, value, nil
}

// Trips are streamed from a topic into a table. Started again, the query goes
// on where it was; a record that does not fit becomes a dead letter.
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
	if _, err := admin.CreateTopic(ctx, kafka.TopicSpec{Name: "trips", Partitions: 1}); err != nil {
		log.Fatal(err)
	}

	lake := blob.NewMemory("lake")
	table, err := delta.Create(ctx, blob.Prefix(lake, "delta/trips"), delta.Definition{
		Schema: delta.Schema{Fields: []delta.Field{
			{Name: "key", Type: delta.String, Nullable: true},
			{Name: "fare_amount", Type: delta.Double, Nullable: true},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	options := ingest.Options{
		Kafka:           config,
		Subscribe:       []string{"trips"},
		StartingOffsets: "earliest",
		Trigger:         ingest.AvailableNow(),
		Table:           blob.Prefix(lake, "delta/trips"),
		DeadLetters:     blob.Prefix(lake, "delta/trips_dead_letters"),
		Checkpoint:      blob.Prefix(lake, "checkpoints/trips"),
	}

	for _, records := range []lines{
		{`{"key":"a","fare_amount":4.5}`, `{"key":"b","fare_amount":16.9}`},
		{`{"key":"c","fare_amount":"free"}`, `{"key":"d","fare_amount":5.7}`},
	} {
		if _, err := kafka.Produce(ctx, config, &records, kafka.ProduceOptions{Topic: "trips"}); err != nil {
			log.Fatal(err)
		}
		stream, err := ingest.Start(ctx, options)
		if err != nil {
			log.Fatal(err)
		}
		if err := stream.AwaitTermination(ctx); err != nil {
			log.Fatal(err)
		}
		status := stream.Status()
		fmt.Println("batch", status.BatchID, "records", status.NumInputRows, "dead letters", status.NumDeadLetters)
	}

	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}
	var trips []string
	for rows, err := range snapshot.Scan(ctx, delta.ScanOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		keys, fares := rows.Column(0).(*array.String), rows.Column(1).(*array.Float64)
		for i := range int(rows.NumRows()) {
			trips = append(trips, fmt.Sprint(keys.Value(i), " ", fares.Value(i)))
		}
	}
	slices.Sort(trips) // files, and so their rows, are in no order
	fmt.Println(strings.Join(trips, "\n"))
	letters, err := ingest.DeadLetters(ctx, options.DeadLetters, 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, letter := range letters {
		fmt.Printf("offset %d: %s\n", letter.Offset, letter.Reason)
	}
	// Output:
	// batch 0 records 2 dead letters 0
	// batch 1 records 2 dead letters 1
	// a 4.5
	// b 16.9
	// d 5.7
	// offset 2: field "fare_amount": wrong type: a string, want double
}
