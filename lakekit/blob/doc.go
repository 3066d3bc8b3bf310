// Package blob is a bucket of objects: the few operations that a table format
// needs of an object store, and their promises.
//
// Memory is a map, Dir a local folder; the package oss reaches Aliyun OSS and
// stores that speak S3. Prefix makes a folder of any of them a bucket of its
// own. Package blobtest has the acceptance test that they all pass, and faults
// to try what is built on them.
//
// Everything above rests on PutIfAbsent: of racing writers one wins. An error
// after a put, other than ErrExist, says nothing about whether the object was
// stored: read it back.
package blob
