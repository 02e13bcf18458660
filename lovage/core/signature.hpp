#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>

namespace lovage {

/// What a signature stands for. Wire: `subtask_type`.
enum class SignatureType : std::uint8_t { task, chain, group, chord };
/// "task", "chain", "group", "chord".
[[nodiscard]] std::string_view to_string(SignatureType type) noexcept;

/// A call that somebody else will make: Celery's signature dictionary (celery-wire reference,
/// section 14.1). A canvas (chain, group, chord) is a signature whose kwargs hold other signatures;
/// they stay text until somebody asks for them, so that what is only passed on comes out as it
/// came.
struct Signature {
    std::string task;
    SignatureType type = SignatureType::task;
    Json args = Json::array();               ///< A list; raw when it was decoded.
    Json kwargs = Json::object();            ///< A map; raw when it was decoded.
    Json options = Json::object();           ///< A map; its lists and maps raw when it was decoded.
    bool immutable = false;                  ///< Takes no result of what ran before it.
    std::optional<std::int64_t> chord_size;  ///< Of a chord's body from Celery 4.x to 5.1.
    Json extra = Json::object();             ///< Keys that are none of Celery's, kept.

    /// options.task_id, or empty.
    [[nodiscard]] std::string task_id() const;
    /// The option's value, or nullptr when it is missing or null.
    [[nodiscard]] const Json* option(std::string_view name) const noexcept;

    friend bool operator==(const Signature&, const Signature&) = default;
};

/// Most signatures in one list: a canvas that large would not fit a message anyway.
inline constexpr std::size_t kCanvasMembersMax = 200'000;
/// Deepest nesting of canvases in canvases.
inline constexpr std::size_t kCanvasDepthMax = 32;
/// Most bytes of all the messages that one canvas comes to: a large result for a large group, or a
/// large body carried by every part of a chord, multiply.
inline constexpr std::size_t kCanvasBytesMax = std::size_t{256} << 20U;

/// Reads a signature; `what` names it in errors ("callback 2"). Missing keys other than `task` get
/// the value encode would write. Errors: malformed, naming the key and what was found.
[[nodiscard]] Result<Signature> decode_signature(const Json& value, std::string_view what);
/// Reads a list of signatures, or a single one where a list is expected (Celery takes both). Null
/// is the empty list. Errors: malformed, too_large.
[[nodiscard]] Result<std::vector<Signature>> decode_signatures(const Json& value,
                                                               std::string_view what);

/// Celery's dictionary: its six keys always, in its order.
[[nodiscard]] Json encode_signature(const Signature& signature);
/// A list of them.
[[nodiscard]] Json encode_signatures(const std::vector<Signature>& signatures);

// What a canvas holds. Each checks the type it is for. Errors: malformed, too_large.

/// Steps of a chain, members of a group.
[[nodiscard]] Result<std::vector<Signature>> tasks_of(const Signature& canvas);
/// A chord's two parts. A header given as a list becomes a group without options.
struct ChordParts {
    Signature header;
    Signature body;
};
[[nodiscard]] Result<ChordParts> parts_of(const Signature& chord);

// And the other way round; everything else of `canvas` is kept.

void set_tasks(Signature& canvas, const std::vector<Signature>& tasks);
void set_parts(Signature& chord, const ChordParts& parts);

/// A group of these.
[[nodiscard]] Signature make_group(const std::vector<Signature>& tasks);
/// A chord of these.
[[nodiscard]] Signature make_chord(const Signature& header, const Signature& body);

}  // namespace lovage
