// Package blobtest tries buckets, and what is built on them.
//
// AcceptanceTest is the contract of blob.Bucket as a test: every implementation
// passes it. Faults puts a FaultBucket around any bucket: it fails or blocks
// operations before they happen or after (the answer got lost), at the nth call
// of an operation on a pattern of keys, and records the exact sequence of
// operations as lines for golden files.
package blobtest
