// Package drill breaks a workshop on purpose and shows that no record is lost
// and none is there twice.
//
// A [Drill] starts a broker, an object store and a server of its own, in a
// temporary state folder and at free ports (site.go), breaks something while
// records flow (drills.go), and compares, record by record, what was produced
// with what the table and the dead-letter table hold, besides the verdict of
// `lakekit verify` (verdict.go). It never touches the user's workshop.
//
// Caveats: one drill at a time in a process, for the services are told where
// they are by environment variables. The program must be lakekit, or built by
// set-up.
package drill
