// Package settings answers one question for every part of the workshop: which
// services, which names, which folders?
//
// [Load] reads, in this order of precedence, the environment, the file .env at
// the top of the repository, and the defaults of the profile. The embedded
// profile needs none of them: its services write their addresses and their
// random credentials below the state folder, and Load finds them there.
//
// Caveats: a Settings is a snapshot. A service that was restarted on another
// port is found by loading again. Secrets are held in fields that formatting
// and JSON leave out.
package settings
