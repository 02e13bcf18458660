// What a slot and its worker read from each other: frames in whatever pieces, payloads of every
// kind. A slot runs user code, so its bytes are anybody's.
#include <lovage/worker/prefork/slot_protocol.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using namespace lovage::slot;

/// What was understood and is written again must be understood again.
template <class Message, class Read>
void read_again(const lovage::Result<Message>& message, Read read) {
    if (!message) return;
    std::string bytes;
    if (!append(bytes, *message)) return;
    FrameReader reader;
    reader.feed(bytes);
    const auto frame = reader.next();
    LOVAGE_ASSERT(frame && *frame && read((*frame)->payload));
}

void read_payload(const FrameReader::Frame& frame) {
    switch (frame.kind) {
        case FrameKind::setup:
            return void(read_setup(frame.payload));
        case FrameKind::ready:
            return void(read_ready(frame.payload));
        case FrameKind::request:
            return read_again(read_request(frame.payload), read_request);
        case FrameKind::progress:
            return read_again(read_progress(frame.payload), read_progress);
        case FrameKind::event:
            return read_again(read_event(frame.payload), read_event);
        case FrameKind::outcome:
            return read_again(read_outcome(frame.payload), read_outcome);
        case FrameKind::interrupt:
            return void(read_interrupt(frame.payload));
        case FrameKind::call:
            return read_again(read_call(frame.payload), read_call);
        case FrameKind::answer:
            return read_again(read_answer(frame.payload), read_answer);
        case FrameKind::quit:
            return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    if (bytes.empty()) return 0;
    // The first byte chooses the size of the pieces.
    const std::size_t piece = 1 + static_cast<std::uint8_t>(bytes[0]);
    FrameReader reader;
    for (std::size_t at = 1; at < bytes.size(); at += piece) {
        reader.feed(bytes.substr(at, piece));
        while (true) {
            const auto frame = reader.next();
            if (!frame) return 0;
            if (!*frame) break;
            read_payload(**frame);
        }
    }
    return 0;
}
