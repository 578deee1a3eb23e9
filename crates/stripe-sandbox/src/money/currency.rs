//! The currencies that Stripe supports.

/// In the order of Stripe's error message for unknown currencies.
pub(crate) const SUPPORTED: &str = "usd, aed, afn, all, amd, ang, aoa, ars, aud, awg, azn, bam, bbd, bdt, bgn, bhd, bif, bmd, bnd, bob, brl, bsd, bwp, byn, bzd, cad, cdf, chf, clp, cny, cop, crc, cve, czk, djf, dkk, dop, dzd, egp, etb, eur, fjd, fkp, gbp, gel, gip, gmd, gnf, gtq, gyd, hkd, hnl, hrk, htg, huf, idr, ils, inr, isk, jmd, jod, jpy, kes, kgs, khr, kmf, krw, kwd, kyd, kzt, lak, lbp, lkr, lrd, lsl, mad, mdl, mga, mkd, mmk, mnt, mop, mro, mur, mvr, mwk, mxn, myr, mzn, nad, ngn, nio, nok, npr, nzd, omr, pab, pen, pgk, php, pkr, pln, pyg, qar, ron, rsd, rub, rwf, sar, sbd, scr, sek, sgd, shp, sle, sll, sos, srd, std, szl, thb, tjs, tnd, top, try, ttd, twd, tzs, uah, ugx, uyu, uzs, vnd, vuv, wst, xaf, xcd, xof, xpf, yer, zar, zmw, usdc, btn, ghs, eek, lvl, svc, vef, ltl";

/// A currency: its ISO 4217 code in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Currency([u8; 3]);

impl Currency {
    /// The currency of a code, in any case, if Stripe supports it.
    pub(crate) fn parse(code: &str) -> Option<Self> {
        let code: [u8; 3] = code.to_ascii_lowercase().as_bytes().try_into().ok()?;
        let mut supported = SUPPORTED.split(", ");
        supported
            .any(|known| known.as_bytes() == code)
            .then_some(Self(code))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("one of the codes above")
    }
}

/// The default currency of an account in the United States.
pub(crate) fn usd() -> Currency {
    Currency(*b"usd")
}
