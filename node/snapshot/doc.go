// Package snapshot keeps on disk what a node has, so that a cluster whose nodes were all stopped at once does not forget.
//
// A snapshot is one file, written and read a partition at a time: neither needs more memory than the largest partition. It is written
// beside the one before and takes its place in one step, once all of it is on disk. A file that cannot be used is never fatal and
// never overwritten: it is set aside under another name, for whoever wants to know.
//
// A [Keeper] does all of it for a node; [Writer] and [Read] are for the file alone.
//
// # The file
//
// Numbers are little-endian. Checksums are CRC-32C.
//
//	header    "STINTSNP", version u16, length of the header u16, count of partitions u32, written at i64 (µs, Unix),
//	          fingerprint of the hash key u64, partitions of the cluster u32, length of name u8, of constants u8,
//	          name of the node, ring constants; checksum of the header
//	partition "PART", number u32, version (epoch u64, start ID u64, count of changes u64), exported so many µs after the
//	          header's time u64, length of lines u32, lines; checksum of the whole block
//	end       "TAIL", count of partitions u32; checksum of all between the header and here
//
// Partitions come in order, each once. Their lines are as bucket.AppendLines writes them: durations, as of when they were exported.
//
// # What it does not do
//
// It does not say what a snapshot is worth: whether what was held then still counts is for node/hold to judge, by the versions. It has
// no clock: times are arguments, and lines are to be shifted by the age that goes with them. That age is wall-clock
// time, as nothing else goes on while a machine is off. A wall clock that was put forward meanwhile ends windows early by
// as much; one that was put back makes the age too small, at least 0, and windows longer.
package snapshot
