//! Message structs as tables of `number name: type`, the way they stand in the `.proto` files.

/// A message that is both written and read.
macro_rules! message {
    ($(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        $crate::pb::message::declare! { $(#[$meta])* $name { $($body)* } }
        $crate::pb::message::encode! { $name { $($body)* } }
        $crate::pb::message::decode! { $name { $($body)* } }
    };
}

/// A message that is only written. Every field is [`Put`](crate::pb::Put), so embedded messages cannot be missing.
macro_rules! request {
    ($(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        $crate::pb::message::declare! { $(#[$meta])* $name { $($body)* } }
        $crate::pb::message::encode! { $name { $($body)* } }
    };
}

/// A message that is only read. An embedded message may be an `Option`.
macro_rules! response {
    ($(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        $crate::pb::message::declare! { $(#[$meta])* $name { $($body)* } }
        $crate::pb::message::decode! { $name { $($body)* } }
    };
}

macro_rules! declare {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $number:literal $field:ident : $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name {
            $(
                #[doc = concat!("Field ", stringify!($number), ".")]
                $(#[$doc])*
                pub $field: $type,
            )*
        }
    };
}

macro_rules! encode {
    ($name:ident { $($(#[$doc:meta])* $number:literal $field:ident : $type:ty),* $(,)? }) => {
        impl $crate::pb::Encode for $name {
            fn encode(&self, out: &mut $crate::pb::Writer) {
                let _unused_if_empty = &out;
                $( out.put($number, &self.$field); )*
            }
        }
    };
}

macro_rules! decode {
    ($name:ident { $($(#[$doc:meta])* $number:literal $field:ident : $type:ty),* $(,)? }) => {
        impl $crate::pb::Decode for $name {
            fn field(&mut self, number: u32, value: $crate::pb::Value<'_>) -> Result<(), $crate::pb::PbError> {
                match number {
                    $( $number => $crate::pb::Take::take(&mut self.$field, value), )*
                    _ => { let _skipped = value; Ok(()) }
                }
            }
        }
    };
}

/// An enum of the protocol: known values are constants, unknown ones are kept as numbers.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident { $($value:literal $known:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub i32);

        impl $name {
            $(
                #[doc = concat!("Value ", stringify!($value), ".")]
                pub const $known: $name = $name($value);
            )*

            /// The protocol's word for the value, or `UNKNOWN`.
            pub const fn word(self) -> &'static str {
                match self.0 {
                    $( $value => stringify!($known), )*
                    _ => "UNKNOWN",
                }
            }
        }

        impl $crate::pb::Put for $name {
            fn put(&self, number: u32, out: &mut $crate::pb::Writer) {
                self.0.put(number, out);
            }
        }

        impl $crate::pb::Take for $name {
            fn take(&mut self, value: $crate::pb::Value<'_>) -> Result<(), $crate::pb::PbError> {
                self.0.take(value)
            }
        }
    };
}

pub(crate) use {declare, decode, encode, message, open_enum, request, response};
