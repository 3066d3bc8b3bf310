// Package oss is the object store under the lake: Bucket, the few operations a
// table format needs of Aliyun Object Storage Service, and its promises.
//
// Client speaks to real OSS and to the embedded server (package ossserver) by
// the Aliyun SDK, and through a translation to stores that speak S3, such as
// MinIO. Diagnose finds out why it cannot; Lend makes credentials for one folder
// of an S3 store, the workspace of a student. Dir is a local folder, Memory a
// map; Prefix makes a folder of any of them a bucket of its own. Package osstest
// has the acceptance test they all pass, and faults to try what is built on
// them.
//
// Everything above rests on PutIfAbsent: of racing writers one wins. OSS keeps
// that promise only on buckets without versioning; see ProvePutIfAbsent.
// An error after a put, other than ErrExist, says nothing about whether the
// object was stored: read it back.
package oss
