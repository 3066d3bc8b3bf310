// Package api holds the structs that the notebook's client and the workshop
// server exchange as JSON, in the terms of the field: Kafka's for topics,
// Structured Streaming's for queries, Delta's for tables.
//
// It imports nothing of the project and nothing heavy, so that a notebook cell
// that uses it is built in a fraction of a second.
package api
