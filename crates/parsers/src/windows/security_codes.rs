//! What codes in events of the Security channel mean, in Microsoft's words where it has some.

/// Microsoft's words for the code of a refused logon; the code where it has none.
pub(super) fn described(code: &str) -> &str {
    match code.to_ascii_lowercase().as_str() {
        "0x0" => "Status OK.",
        "0xc000005e" => "There are currently no logon servers available to service the logon request.",
        "0xc0000064" => "User logon with misspelled or bad user account",
        "0xc000006a" => "User logon with misspelled or bad password",
        "0xc000006d" => "This is either due to a bad username or authentication information",
        "0xc000006e" => "Unknown user name or bad password.",
        "0xc000006f" => "User logon outside authorized hours",
        "0xc0000070" => "User logon from unauthorized workstation",
        "0xc0000071" => "User logon with expired password",
        "0xc0000072" => "User logon to account disabled by administrator",
        "0xc00000dc" => "Indicates the Sam Server was in the wrong state to perform the desired operation.",
        "0xc0000133" => "Clocks between DC and other computer too far out of sync",
        "0xc000015b" => "The user has not been granted the requested logon type (aka logon right) at this machine",
        "0xc000018c" => {
            "The logon request failed because the trust relationship between the primary domain and the trusted domain failed."
        }
        "0xc0000192" => "An attempt was made to logon, but the Netlogon service was not started.",
        "0xc0000193" => "User logon with expired account",
        "0xc0000224" => "User is required to change password at next logon",
        "0xc0000234" => "User logon with account locked",
        _ => code,
    }
}

/// The text of a reason that is a message of Windows' own.
pub(super) fn why(reason: &str) -> &str {
    match reason {
        "%%2304" => "An Error occured during Logon.",
        "%%2305" => "The specified user account has expired.",
        "%%2306" => "The NetLogon component is not active.",
        "%%2307" => "Account locked out.",
        "%%2308" => "The user has not been granted the requested logon type at this machine.",
        "%%2309" => "The specified account's password has expired.",
        "%%2310" => "Account currently disabled.",
        "%%2311" => "Account logon time restriction violation.",
        "%%2312" => "User not allowed to logon at this computer.",
        "%%2313" => "Unknown user name or bad password.",
        other => other,
    }
}

/// What kind of service a number means.
pub(super) fn service_type(number: &str) -> &str {
    match number {
        "0x1" => "Kernel Driver",
        "0x2" => "File System Driver",
        "0x8" => "Recognizer Driver",
        "0x10" => "Win32 Own Process",
        "0x20" => "Win32 Share Process",
        "0x110" => "Interactive Own Process",
        "0x120" => "Interactive Share Process",
        other => other,
    }
}

/// What the usual codes of a refused logon mean.
pub(super) fn status_text(code: &str) -> &'static str {
    match code {
        "0xc0000064" => "user name does not exist",
        "0xc000006a" => "user name is correct but the password is wrong",
        "0xc000006d" => "bad user name or authentication information",
        "0xc000006e" => "account restrictions",
        "0xc000006f" => "logon outside authorized hours",
        "0xc0000070" => "logon from unauthorized workstation",
        "0xc0000071" | "0xc0000224" => "password expired or must change",
        "0xc0000072" => "account disabled",
        "0xc0000133" => "clocks out of sync",
        "0xc000015b" => "logon type not granted",
        "0xc000018c" => "trust relationship failed",
        "0xc0000193" => "account expired",
        "0xc0000234" => "account locked out",
        "0xc0000413" => "authentication firewall",
        _ => "",
    }
}
