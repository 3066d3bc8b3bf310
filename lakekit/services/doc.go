// Package services looks after the processes of the embedded profile: the
// broker, the object store and the workshop server.
//
// A service is alive exactly as long as it holds the lock on its lock file
// ([Claim]); the kernel releases it however the process ends, so that a killed
// service is never taken for a running one and a reused process id is never
// signalled. [Up], [Down], [Kill] and [Statuses] build on that alone.
//
// Caveats: the package starts the lakekit program, it is not the services
// themselves; locks need a local file system.
package services
