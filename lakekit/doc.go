// Package lakekit is what the notebooks of the workshop call: a client of the
// workshop server, with pictures and tables made for a notebook's output.
//
// A notebook begins with
//
//	var lab = lakekit.Must(lakekit.Connect())
//
// and then creates a topic ([Workshop.CreateTopic]), produces traffic
// ([Workshop.StartTraffic]), creates a Delta table ([Workshop.CreateTable]),
// streams into it ([Workshop.StartStream]), asks it questions
// ([Workshop.SQL]) and draws the answers ([Workshop.Chart]). A table is looked
// after with [Workshop.Optimize], [Workshop.Vacuum] and [Workshop.Restore].
// [Show] shows any result; [Workshop.Check] tests what a lesson should have left.
//
// Where a name or an option is left out, the course's own is meant. Answers are
// types of package api.
//
// Caveats: a cell is a process of its own and ends with its last line; what goes
// on, goes on in the server. The package is plain Go and small on purpose:
// a cell that imports it starts at once. lakekit/ARCHITECTURE.md has the picture.
package lakekit
