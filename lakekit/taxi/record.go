package taxi

// Record is one taxi trip. A Record may be filled again and again; the bytes
// of Key are then overwritten, everything else is a plain value.
type Record struct {
	// Key names the record: the pickup time, ".000000" and a counter from 1
	// among all the city's trips of the same second, of which the file holds
	// one in twenty: "2009-06-15 17:26:21.0000001".
	Key []byte

	// FareAmount is in US dollars, bridge and tunnel tolls included.
	FareAmount float64

	// PickupDatetime is in seconds since 1970-01-01 00:00:00 on the clock the
	// file is written in. The file says UTC and shows New York's local time.
	PickupDatetime int64

	PickupLongitude  float64 // degrees, WGS 84
	PickupLatitude   float64
	DropoffLongitude NullFloat64
	DropoffLatitude  NullFloat64
	PassengerCount   int32
}

// NullFloat64 is a number that may be missing; Float64 is 0 where it is.
type NullFloat64 struct {
	Float64 float64
	Valid   bool
}

// Field describes one field of a Record as it stands in the Kafka message and
// in the Delta table.
type Field struct {
	Name        string
	Type        string // Delta's name of the type in the table
	Unit        string // empty where there is none
	Nullable    bool
	Description string
}

// Schema lists the fields in the order of the file, the message and the table.
func Schema() []Field {
	return []Field{
		{"key", "timestamp", "", false, "name of the record: pickup time and a counter within the second; as a timestamp it keeps microseconds and loses the counter"},
		{"fare_amount", "double", "USD", false, "fare with tolls; a few are negative, zero or absurdly high"},
		{"pickup_datetime", "timestamp", "", false, "start of the trip; labelled UTC but New York local time"},
		{"pickup_longitude", "double", "degrees", false, "where the trip began; 0 where the taximeter had no position"},
		{"pickup_latitude", "double", "degrees", false, "where the trip began; 0 where the taximeter had no position"},
		{"dropoff_longitude", "double", "degrees", true, "where the trip ended; missing in about 7 of a million records"},
		{"dropoff_latitude", "double", "degrees", true, "where the trip ended; missing in about 7 of a million records"},
		{"passenger_count", "integer", "people", false, "as typed in by the driver; 0 and 208 occur"},
	}
}
