//! Tests of the reader, over bytes put together here.
