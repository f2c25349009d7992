// Package source is the way to the Redis of a pipeline: from a connection as the user wrote it (spec 2.3) to clients and
// plain connections, and what the server behind it is and can do.
//
// A Config comes from a connection whose secret references are resolved; it holds secrets, is never logged and never
// leaves the process (G10). What a user wrote wrong is reported as a whole, not one mistake at a time.
package source
