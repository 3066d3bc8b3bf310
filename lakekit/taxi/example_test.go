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
	// 2014-09-12 00:08:43.0000001,31.5,2014-09-12 00:08:43 UTC,-73.867661,40.773197,-73.971217,40.793023,1
	// 2011-12-18 19:46:00.00000010,9.7,2011-12-18 19:46:00 UTC,-73.965308,40.792403,-73.983201,40.764626,2
	// 2009-02-25 22:18:21.0000001,4.1,2009-02-25 22:18:21 UTC,-73.99004,40.728701,-73.989873,40.737146,1
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
	// 2013-10-07 06:40:43.0000001
	// {"key":"2013-10-07 06:40:43.0000001","fare_amount":7.5,"pickup_datetime":"2013-10-07 06:40:43 UTC","pickup_longitude":-73.979043,"pickup_latitude":40.773921,"dropoff_longitude":-73.988327,"dropoff_latitude":40.743098,"passenger_count":1}
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
