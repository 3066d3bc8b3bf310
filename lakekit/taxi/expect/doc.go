// Package expect computes what the seven charts of the course must show,
// straight from the seeded generator or a CSV file.
//
// It is the other side of the verdict at the end of a lesson: records went
// through Kafka into a Delta table, SQL aggregated them, and the result must
// equal what this package counts from the same rows, to the row and to the
// cent. So it shares nothing with that path: no JSON, no SQL, no date functions
// of a library, and cents as integers instead of sums of floating point.
//
// Compute takes ranges of rows and uses all cores. Equal results compare equal
// with Result.Diff, which also says in words what differs.
package expect
