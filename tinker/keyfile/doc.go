// Package keyfile keeps private keys in files: Ed25519 keys, such as the
// identity of a node, and RSA keys, such as that of an issuer of tokens.
//
//	key, err := keyfile.Generate(keyfile.Ed25519)
//	…
//	err = keyfile.Save("identity", key, keyfile.Options{Passphrase: passphrase})
//	…
//	key, err := keyfile.Load[ed25519.PrivateKey]("identity", passphrase)
//
// # Format
//
// A file is the key in PKCS #8 (RFC 5958), as PEM (RFC 7468):
//
//	-----BEGIN PRIVATE KEY-----
//	MC4CAQAwBQYDK2VwBCIEI…
//	-----END PRIVATE KEY-----
//
// One with a passphrase is that text in an age file (c2sp.org/age), in armor,
// for one recipient of the type scrypt with N = 2¹⁷ (128 MiB of memory):
//
//	-----BEGIN AGE ENCRYPTED FILE-----
//	YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCA…
//	-----END AGE ENCRYPTED FILE-----
//
// So openssl and age can make such files and read them: openssl genpkey
// -algorithm ed25519, age --encrypt --passphrase, age --decrypt. Files without
// armor are read as well, and work factors up to 2²⁰, which is 1 GiB. No file
// is longer than 16 KiB, and nothing may stand before or after the key.
//
// # Access
//
// Files are made with mode 0600, in one step: another program sees no file, or
// all of it. Load and [ReadPassphrase] refuse a file that belongs to another
// user, and one that its group or others can read or change. The exception are
// files in the folder that systemd names in $CREDENTIALS_DIRECTORY: they belong
// to root, and the group's right to read them is in truth that of the service
// alone. On Windows nothing is checked.
//
// # Limits
//
// The package clears the buffers that it reads and writes keys with. It cannot
// clear copies within the standard library and age, nor strings, and passphrases
// are strings. What a file held before it was replaced may stay on the disk.
//
// A file does not say what its key is for; a program that is given the wrong
// file of the right kind will use it.
//
// All functions may be called from any goroutine.
package keyfile
