// SPDX-License-Identifier: BSL-1.0
// Types that have cereal functions cross process borders by these: external ones and save/load as
// they are, a member serialize that uses named values or base classes after
// `template <> inline constexpr bool concur::through_cereal<T> = true;`. (A plain member serialize
// needs none of this.) Without cereal on the include path this header is empty.
//
// Include it in every file that sends such a type. cereal's own recursion is not bounded.
#pragma once

#include <concur/codec.hpp>

#if __has_include(<cereal/cereal.hpp>)

#include <cereal/cereal.hpp>

#include <concepts>
#include <cstddef>
#include <cstring>
#include <type_traits>

namespace concur::inline v0::detail {

/// cereal asks for unaligned blocks of bytes.
struct raw_access {
    static void write(size_pass& pass, void const* from, std::size_t bytes) {
        pass.raw(from, bytes, 1);
    }
    static void write(write_pass& pass, void const* from, std::size_t bytes) {
        pass.raw(from, bytes, 1);
    }
    static void read(read_pass& pass, void* to, std::size_t bytes) {
        if (bytes != 0) std::memcpy(to, pass.take(bytes, 1), bytes);
    }
    static void require_room(read_pass& pass, std::uint64_t elements) {
        if (elements > pass.unclaimed()) pass.throw_length(elements);
    }
};

/// cereal's view of size_pass and write_pass.
class cereal_writer : public cereal::OutputArchive<cereal_writer> {
public:
    template <class Pass>
    explicit cereal_writer(Pass& pass)
        : OutputArchive(this), pass_(&pass), write_([](void* to, void const* from, std::size_t n) {
              raw_access::write(*static_cast<Pass*>(to), from, n);
          }) {}

    void bytes(void const* from, std::size_t count) { write_(pass_, from, count); }

private:
    void* pass_;
    void (*write_)(void*, void const*, std::size_t);
};

class cereal_reader : public cereal::InputArchive<cereal_reader> {
public:
    explicit cereal_reader(read_pass& pass) : InputArchive(this), pass_(pass) {}

    void bytes(void* to, std::size_t count) { raw_access::read(pass_, to, count); }
    void require_room(std::uint64_t elements) { raw_access::require_room(pass_, elements); }

private:
    read_pass& pass_;
};

template <class T>
    requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_writer& ar, T const& number) {
    ar.bytes(&number, sizeof number);
}
template <class T>
    requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_reader& ar, T& number) {
    if constexpr (std::is_same_v<T, bool>) {
        unsigned char byte = 0;
        ar.bytes(&byte, 1);
        if (byte > 1) throw codec_error("a bool is neither 0 nor 1");
        number = byte == 1;
    } else {
        ar.bytes(&number, sizeof number);
    }
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_writer& ar, cereal::NameValuePair<T> const& named) {
    ar(named.value);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_reader& ar, cereal::NameValuePair<T>& named) {
    ar(named.value);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_writer& ar, cereal::SizeTag<T> const& tag) {
    ar(tag.size);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_reader& ar, cereal::SizeTag<T>& tag) {
    ar(tag.size);
    ar.require_room(tag.size);  // at least a byte each
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_writer& ar, cereal::BinaryData<T> const& data) {
    ar.bytes(data.data, static_cast<std::size_t>(data.size));
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_reader& ar, cereal::BinaryData<T>& data) {
    ar.bytes(data.data, static_cast<std::size_t>(data.size));
}

/// Not what the codec knows by its shape: there it is faster than cereal.
template <class T>
concept cereal_type = std::is_class_v<T> && shape_of<T>() == wire::refused &&
                      cereal::traits::is_output_serializable<T, cereal_writer>::value &&
                      cereal::traits::is_input_serializable<T, cereal_reader>::value;

template <class Archive>
concept codec_archive = std::same_as<Archive, size_pass> || std::same_as<Archive, write_pass> ||
                        std::same_as<Archive, read_pass> || std::same_as<Archive, archive_probe>;

/// Found through the archive's namespace.
template <codec_archive Archive, cereal_type T>
void concur_serialize(Archive& archive, T& value) {
    if constexpr (std::same_as<Archive, read_pass>) {
        try {
            cereal_reader reader(archive);
            reader(value);
        } catch (cereal::Exception const& e) {
            throw codec_error(e.what());
        }
    } else if constexpr (!std::same_as<Archive, archive_probe>) {
        cereal_writer writer(archive);
        writer(value);
    }
}

}  // namespace concur::inline v0::detail

CEREAL_SETUP_ARCHIVE_TRAITS(concur::detail::cereal_reader, concur::detail::cereal_writer)

#endif
