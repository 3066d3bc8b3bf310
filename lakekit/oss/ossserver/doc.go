// Package ossserver is an Object Storage Service on a local folder, for
// machines without the cloud: an http.Handler that the unchanged Aliyun SDKs
// and command line tools talk to.
//
// It verifies V1 and V4 signatures (headers and signed URLs) and serves
// buckets, objects (put, get, ranges, head, list v1 and v2, delete, copy,
// x-oss-forbid-overwrite, x-oss-meta-*) and multipart uploads; anything else is
// answered with NotImplemented. An acknowledged write is on disk.
//
// Objects are plain files, so that other engines open a table by its path:
// DIR/BUCKET/KEY. What a file cannot say (content type, x-oss-meta-*, MD5) is
// kept beside, under DIR/.oss, and holds as long as the file is unchanged. One
// server at a time may use a folder; other programs may read and add files.
// Path style, or bucket-in-host style under ".localhost". There is one account,
// and no access control beyond its key.
package ossserver
