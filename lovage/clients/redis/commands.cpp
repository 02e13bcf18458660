#include <lovage/clients/redis/commands.hpp>

#include <lovage/core/error.hpp>

#include <array>

#include <fmt/core.h>
#include <openssl/evp.h>

namespace lovage::redis {

namespace {

std::string sha1_hex(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    std::size_t size = 0;
    const int done =
        EVP_Q_digest(nullptr, "SHA1", nullptr, text.data(), text.size(), digest.data(), &size);
    LOVAGE_ASSERT(done == 1);
    std::string hex;
    for (std::size_t index = 0; index < size; ++index) hex += fmt::format("{:02x}", digest[index]);
    return hex;
}

void append_header(std::string& out, char type, std::size_t length) {
    const Number digits{length};
    out += type;
    out += digits;
    out += "\r\n";
}

}  // namespace

Script::Script(std::string body) {
    std::string sha = sha1_hex(body);
    data_ = std::make_shared<const Data>(Data{std::move(body), std::move(sha)});
}

void Commands::begin(std::size_t words) {
    starts_.push_back(wire_.size());
    append_header(wire_, '*', words);
}

void Commands::word(std::string_view text) {
    append_header(wire_, '$', text.size());
    wire_ += text;
    wire_ += "\r\n";
}

void Commands::add(std::span<const std::string_view> words) {
    LOVAGE_ASSERT(!words.empty());
    begin(words.size());
    for (const std::string_view text : words) word(text);
}

void Commands::add_script(const Script& script, std::span<const std::string_view> keys,
                          std::span<const std::string_view> arguments) {
    LOVAGE_ASSERT(script_ == nullptr || script_->sha() == script.sha());
    if (!script_) script_ = std::make_shared<const Script>(script);
    begin(3 + keys.size() + arguments.size());
    word("EVALSHA");
    word(script.sha());
    word(Number{keys.size()});
    for (const std::string_view text : keys) word(text);
    for (const std::string_view text : arguments) word(text);
}

void Commands::reserve(std::size_t commands, std::size_t bytes) {
    starts_.reserve(starts_.size() + commands);
    wire_.reserve(wire_.size() + bytes);
}

std::string_view Commands::wire(std::size_t index) const {
    LOVAGE_ASSERT(index < starts_.size());
    const std::size_t end = index + 1 < starts_.size() ? starts_[index + 1] : wire_.size();
    return std::string_view{wire_}.substr(starts_[index], end - starts_[index]);
}

void Commands::append(const Commands& other, std::size_t index) {
    starts_.push_back(wire_.size());
    wire_ += other.wire(index);
    if (!script_) script_ = other.script_;
}

}  // namespace lovage::redis
