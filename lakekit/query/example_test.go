package query_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/query"
)

// A statement with Spark's date_format runs over a table in memory. Names of
// tables mean what Request.Tables says.
func Example() {
	ctx := context.Background()
	table, err := createTrips(ctx, map[string]float64{
		"2009-06-15T17:26:21Z": 4.5,
		"2009-06-28T04:30:00Z": 12.5,
		"2009-07-01T00:00:00Z": 7,
	})
	if err != nil {
		log.Fatal(err)
	}
	engine, err := query.Open(query.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	result, err := engine.Query(ctx, `
		SELECT date_format(pickup_datetime, 'yyyy-MM') AS month, count(*) AS trips, avg(fare_amount) AS fare
		FROM taxi_record
		GROUP BY month
		ORDER BY month`,
		query.Request{
			Tables: func(_ context.Context, name string) (*delta.Table, error) {
				if name != "taxi_record" {
					return nil, fmt.Errorf("%s: %w", name, query.ErrUnknownTable)
				}
				return table, nil
			},
			TimeZone: "America/New_York", // where midnight of July 1 in UTC is an evening of June
		})
	if err != nil {
		log.Fatal(err)
	}
	months, trips, fares := result.Strings("month"), result.Ints("trips"), result.Floats("fare")
	for i := range months {
		fmt.Println(months[i], trips[i], fares[i])
	}
	for _, read := range result.Tables {
		fmt.Println("read", read.Name, "at version", read.Version)
	}
	// Output:
	// 2009-06 3 8
	// read taxi_record at version 1
}

// createTrips makes a table in memory of trips: their times and fares.
func createTrips(ctx context.Context, trips map[string]float64) (*delta.Table, error) {
	schema := delta.Schema{Fields: []delta.Field{
		{Name: "pickup_datetime", Type: delta.Timestamp, Nullable: true},
		{Name: "fare_amount", Type: delta.Double, Nullable: true},
	}}
	table, err := delta.Create(ctx, blob.NewMemory("lake"), delta.Definition{Schema: schema})
	if err != nil {
		return nil, err
	}
	arrowSchema, err := schema.Arrow()
	if err != nil {
		return nil, err
	}
	rows := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema)
	for pickup, fare := range trips {
		at, err := time.Parse(time.RFC3339, pickup)
		if err != nil {
			return nil, err
		}
		rows.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
		rows.Field(1).(*array.Float64Builder).Append(fare)
	}
	files, err := table.WriteFiles(ctx, rows.NewRecordBatch())
	if err != nil {
		return nil, err
	}
	_, err = table.Commit(ctx, delta.Commit{Operation: "WRITE", Adds: files, BlindAppend: true})
	return table, err
}
