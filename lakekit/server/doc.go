// Package server is the workshop server: the process that holds what a notebook
// cell cannot, because a cell ends with its last line. Producing runs and
// streaming queries go on in it, DuckDB and the chart renderer stay warm in it.
//
// [Open] builds a [Server] from the settings; its Handler speaks the JSON of
// package api over HTTP and serves the workshop's web page. traffic.go keeps the
// ledger of what was produced, streams.go the queries and which of them to
// resume after a restart, verify.go compares the two ends.
//
// Who may do what: loopback only; every call but /health and the page's assets
// asks for the token; what is asked for with GET changes nothing, and a page of
// another origin, another port of this machine included, may ask for nothing else
// (guard.go). A call takes what its route says and nothing more (routes.go,
// request.go). In a workspace the server keeps to topics and addresses that begin
// with its name, whatever its keys open.
//
// Caveats: a run of traffic that a crash interrupts is not resumed; its
// share of the topic is worked out from the topic itself when it is needed.
package server
