//! The terminal modes that a client encodes in `pty-req` (RFC 4254 §8), applied to a terminal.

use std::os::fd::AsFd;

use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr,
    tcsetattr,
};

/// Applies modes, as (opcode, argument) pairs, to a terminal. Unknown ones are ignored, as §8
/// asks of a server.
pub(super) fn apply(terminal: impl AsFd, modes: &[(u8, u32)]) -> rustix::io::Result<()> {
    let mut termios = tcgetattr(&terminal)?;
    for (opcode, argument) in modes {
        apply_one(&mut termios, *opcode, *argument);
    }
    tcsetattr(&terminal, OptionalActions::Now, &termios)
}

fn apply_one(termios: &mut Termios, opcode: u8, argument: u32) {
    let on = argument != 0;
    if let Some(index) = special_code(opcode) {
        // 255 says that the character is unset, which POSIX writes as 0.
        let code = u8::try_from(argument).unwrap_or_default();
        termios.special_codes[index] = if code == u8::MAX { 0 } else { code };
    } else if let Some(mode) = input_mode(opcode) {
        termios.input_modes.set(mode, on);
    } else if let Some(mode) = local_mode(opcode) {
        termios.local_modes.set(mode, on);
    } else if let Some(mode) = output_mode(opcode) {
        termios.output_modes.set(mode, on);
    } else {
        apply_control(termios, opcode, argument);
    }
}

fn apply_control(termios: &mut Termios, opcode: u8, argument: u32) {
    let on = argument != 0;
    match opcode {
        90 if on => set_size(termios, ControlModes::CS7),
        91 if on => set_size(termios, ControlModes::CS8),
        92 => termios.control_modes.set(ControlModes::PARENB, on),
        93 => termios.control_modes.set(ControlModes::PARODD, on),
        // A speed that the system does not have leaves the present one.
        128 => termios.set_input_speed(argument).unwrap_or_default(),
        129 => termios.set_output_speed(argument).unwrap_or_default(),
        _ => {}
    }
}

fn set_size(termios: &mut Termios, size: ControlModes) {
    termios.control_modes.remove(ControlModes::CSIZE);
    termios.control_modes.insert(size);
}

fn special_code(opcode: u8) -> Option<SpecialCodeIndex> {
    Some(match opcode {
        1 => SpecialCodeIndex::VINTR,
        2 => SpecialCodeIndex::VQUIT,
        3 => SpecialCodeIndex::VERASE,
        4 => SpecialCodeIndex::VKILL,
        5 => SpecialCodeIndex::VEOF,
        6 => SpecialCodeIndex::VEOL,
        7 => SpecialCodeIndex::VEOL2,
        8 => SpecialCodeIndex::VSTART,
        9 => SpecialCodeIndex::VSTOP,
        10 => SpecialCodeIndex::VSUSP,
        12 => SpecialCodeIndex::VREPRINT,
        13 => SpecialCodeIndex::VWERASE,
        14 => SpecialCodeIndex::VLNEXT,
        18 => SpecialCodeIndex::VDISCARD,
        _ => return None,
    })
}

fn input_mode(opcode: u8) -> Option<InputModes> {
    Some(match opcode {
        30 => InputModes::IGNPAR,
        31 => InputModes::PARMRK,
        32 => InputModes::INPCK,
        33 => InputModes::ISTRIP,
        34 => InputModes::INLCR,
        35 => InputModes::IGNCR,
        36 => InputModes::ICRNL,
        38 => InputModes::IXON,
        39 => InputModes::IXANY,
        40 => InputModes::IXOFF,
        41 => InputModes::IMAXBEL,
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        42 => InputModes::IUTF8,
        _ => return None,
    })
}

fn local_mode(opcode: u8) -> Option<LocalModes> {
    Some(match opcode {
        50 => LocalModes::ISIG,
        51 => LocalModes::ICANON,
        53 => LocalModes::ECHO,
        54 => LocalModes::ECHOE,
        55 => LocalModes::ECHOK,
        56 => LocalModes::ECHONL,
        57 => LocalModes::NOFLSH,
        58 => LocalModes::TOSTOP,
        59 => LocalModes::IEXTEN,
        60 => LocalModes::ECHOCTL,
        61 => LocalModes::ECHOKE,
        62 => LocalModes::PENDIN,
        _ => return None,
    })
}

fn output_mode(opcode: u8) -> Option<OutputModes> {
    Some(match opcode {
        70 => OutputModes::OPOST,
        72 => OutputModes::ONLCR,
        73 => OutputModes::OCRNL,
        74 => OutputModes::ONOCR,
        75 => OutputModes::ONLRET,
        _ => return None,
    })
}
