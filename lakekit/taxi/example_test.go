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
	// 2014-09-12 01:34:00.00000065,52,2014-09-12 01:34:00 UTC,-73.786902,40.645686,-73.988607,40.771809,1
	// 2011-12-18 19:04:27.0000003,10.9,2011-12-18 19:04:27 UTC,-73.980157,40.786009,-73.977718,40.750838,1
	// 2009-02-25 22:33:18.0000002,6.5,2009-02-25 22:33:18 UTC,-73.991737,40.74255,-73.997666,40.763603,1
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
	// 2013-10-07 07:36:00.00000028
	// {"key":"2013-10-07 07:36:00.00000028","fare_amount":6,"pickup_datetime":"2013-10-07 07:36:00 UTC","pickup_longitude":-73.974937,"pickup_latitude":40.749609,"dropoff_longitude":-73.987577,"dropoff_latitude":40.762514,"passenger_count":1}
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
