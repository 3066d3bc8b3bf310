// Package ossserver is an Object Storage Service on a local folder, for
// machines without the cloud: an http.Handler that the unchanged Aliyun SDKs
// and command line tools talk to.
//
// It verifies V1 and V4 signatures (headers and signed URLs) and serves
// buckets, objects (put, get, ranges, head, list v1 and v2, delete, copy,
// x-oss-forbid-overwrite, x-oss-meta-*) and multipart uploads (with copied parts,
// and lists of uploads and parts). An acknowledged write is on disk. Anything
// else is answered with NotImplemented: other operations, by their parameter of
// the query, and headers that would mean more than is done, such as another
// storage class, ACL or encryption. Aliyun's SDKs for Go, Python and Node.js are
// its tests.
//
// Objects are plain files, so that other engines open a table by its path:
// DIR/BUCKET/KEY. So "a" and "a/b" are not both objects, no key ends with "/",
// and on a file system that ignores case, so do keys. What a file cannot say
// (content type, x-oss-meta-*, MD5) is kept beside, under DIR/.oss, and holds as
// long as the file is unchanged. One server at a time may use a folder; other
// programs may read and add files. Only regular files are objects. Symbolic links
// are not followed: neither is what lies beyond one an object, nor is one
// replaced or deleted; a bucket that is one does not exist.
//
// Path style, or bucket-in-host style under ".localhost". There is one account,
// and no access control beyond its key; a security token is only
// looked at as a part of what was signed.
//
// Nothing is read of a request's body before its signature was found right. Bodies
// are bounded by OSS's limits: 5 GB of an object or part, 2 MB of a document,
// 1,000 keys, 10,000 parts. Of unfinished multipart uploads there are at most
// 1,000, and those to which nothing has come for a week are given up. Memory does
// not grow with the number of objects in a listing. Package httpd bounds
// connections, and the time that a client may keep the server waiting.
package ossserver
