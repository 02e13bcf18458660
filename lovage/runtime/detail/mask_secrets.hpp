#pragma once

#include <lovage/core/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace lovage::detail {

/// Stands where a secret stood.
inline constexpr std::string_view kSecretMask = "********";

/// Is the value of this name a secret wherever it stands as `name=value`: in a query, in a libpq
/// connection text? Any case.
[[nodiscard]] bool is_secret_name(std::string_view name) noexcept;

/// For `text` that should be a URL and cannot be read as one: everything from the first ':' behind
/// the scheme to the last '@' may be a password, blanks and all.
[[nodiscard]] std::string mask_url(std::string_view text);

/// The same value with every member hidden whose name is a secret's or ends in one behind '_', '-'
/// or '.' ("db_password"), at any depth, and with mask_secrets() on its texts.
[[nodiscard]] Json mask_members(Json value);

struct MaskedText {
    std::string text;
    std::size_t bytes_left_out = 0;  ///< Of what was to be masked, behind the end of `text`.
};

/// log::mask_secrets(), ended after `bytes_max` bytes (at least). A secret is hidden whole wherever
/// the end falls. Time: linear in what is read, whatever it says.
[[nodiscard]] MaskedText mask_secrets(std::string_view text, std::size_t bytes_max);

}  // namespace lovage::detail
