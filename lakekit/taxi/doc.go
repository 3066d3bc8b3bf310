// Package taxi holds the records of the course: trips of New York's yellow
// taxis from 2009 to mid-2015, as in Kaggle's "New York City Taxi Fare
// Prediction".
//
// The real file may not be handed on, so a Generator makes records like its
// own, row by row from a seed, mistakes included; CSVReader reads the real
// file where a user has it. AppendJSON and AppendCSV write a Record as Kafka
// message and as line of the file, and Rows strings both ends together for a
// producer. Package expect computes what the charts must show.
//
// Caveats: times say UTC and are New York's local time, daylight saving
// included. Keys are unique among the first RowsOfRealFile rows of a seed, not
// between seeds. As a timestamp of microseconds a key loses its counter.
package taxi
