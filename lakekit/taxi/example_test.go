package taxi_test

import (
	"fmt"

	"taxilake/lakekit/taxi"
)

func ExampleGenerator() {
	generator, err := taxi.NewGenerator(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	var record taxi.Record
	for row := range int64(3) {
		generator.Record(row, &record)
		fmt.Printf("%s", taxi.AppendCSV(nil, &record))
	}
	// Output:
	// 2014-09-12 01:25:00.0000004,31.5,2014-09-12 01:25:00 UTC,-73.868123,40.772882,-73.969116,40.790756,1
	// 2011-12-18 19:22:49.0000001,11.3,2011-12-18 19:22:49 UTC,-73.963107,40.786869,-73.971107,40.761388,1
	// 2009-02-25 22:39:12.0000001,3.3,2009-02-25 22:39:12 UTC,-73.993164,40.731036,-73.990581,40.736427,1
}

// A producer takes key and value of one message after the other.
func ExampleNewRows() {
	generator, err := taxi.NewGenerator(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	rows := taxi.NewRows(generator, 1_000_000, 1)
	key, value, err := rows.Next()
	fmt.Printf("%s\n%s\n%v, next is row %d\n", key, value, err, rows.Position())
	// Output:
	// 2013-10-07 07:04:00.0000002
	// {"key":"2013-10-07 07:04:00.0000002","fare_amount":23.5,"pickup_datetime":"2013-10-07 07:04:00 UTC","pickup_longitude":0,"pickup_latitude":0,"dropoff_longitude":0,"dropoff_latitude":0,"passenger_count":1}
	// <nil>, next is row 1000001
}

func ExampleSchema() {
	for _, field := range taxi.Schema() {
		fmt.Printf("%s %s\n", field.Name, field.Type)
	}
	// Output:
	// key timestamp
	// fare_amount double
	// pickup_datetime timestamp
	// pickup_longitude double
	// pickup_latitude double
	// dropoff_longitude double
	// dropoff_latitude double
	// passenger_count integer
}
