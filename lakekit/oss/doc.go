// Package oss is Aliyun Object Storage Service as a blob.Bucket.
//
// Client speaks to real OSS and to the embedded server (package ossserver) by
// the Aliyun SDK, and through a translation to stores that speak S3, such as
// MinIO. Diagnose finds out why it cannot; Lend makes credentials for one folder
// of an S3 store, the workspace of a student.
//
// OSS keeps the promise of PutIfAbsent only on buckets without versioning; see
// ProvePutIfAbsent.
package oss
