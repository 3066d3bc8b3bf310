// Package httpd is what the kit's two HTTP servers, the object store and the
// workshop server, have in common: the bounds that keep a client which is slow,
// silent or one of very many from holding a server. [Server] bounds the header
// of a request and the silence between two, and paces bodies and answers both
// ways; [Limit] bounds the connections.
//
// How long a request may be worked on is not bounded here: a stream is waited for
// as long as it takes. A client that hangs up ends its request's context, once
// the body was read to its end.
package httpd
