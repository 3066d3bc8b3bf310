// Package api holds what the workshop server answers, in the terms of the field:
// Kafka's for topics, Structured Streaming's for queries, Delta's for tables. Each
// answer has its JSON and its View, one description of how it looks in a notebook
// and in a terminal.
//
// It imports nothing heavy, so that a notebook cell that uses it is built in a
// fraction of a second.
package api
