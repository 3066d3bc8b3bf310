// Package server is the workshop server: the process that holds what a notebook
// cell cannot, because a cell ends with its last line. Producing runs and
// streaming queries go on in it, DuckDB and the chart renderer stay warm in it.
//
// [Open] builds a [Server] from the settings; its Handler speaks the JSON of
// package api over HTTP and serves the workshop's web page. traffic.go keeps the
// ledger of what was produced, streams.go the queries and which of them to
// resume after a restart, verify.go compares the two ends.
//
// Caveats: loopback only, and every call but /health and the page's assets asks
// for the token. A run of traffic that a crash interrupts is not resumed; its
// share of the topic is worked out from the topic itself when it is needed.
package server
